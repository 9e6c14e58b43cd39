// Command orders-client calls an API with a token that it obtains, keeps and renews on the way.
//
// The client comes from the environment (see client.FromEnvironment), WRIT_API is the API's address.
package main

import (
	"io"
	"log"
	"os"

	"github.com/writ-auth/writ/client"
)

func main() {
	if err := call(os.Getenv("WRIT_API"), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func call(api string, out io.Writer) error {
	source, err := client.FromEnvironment()
	if err != nil {
		return err
	}
	response, err := source.Client().Get(api + "/orders")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(out, response.Body)
	return err
}
