package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
)

// A call is what writ curl is told to do.
type call struct {
	want             wanted
	method, data     string
	headers          []string
	output           string
	include, verbose bool
}

func newCurl() *cobra.Command {
	var c call
	cmd := &cobra.Command{
		Use:   "curl URL",
		Short: "Call an API with a token",
		Long: `Get a token as "writ token" does and call an API with it. The token is sent to the URL's
own host and nowhere else.

The exit code is 1 when the API answers with 400 or above; what a refusal means is told on
standard error.`,
		Example: `  writ curl http://127.0.0.1:8082/orders
  writ curl -X POST -d '{"item":"book"}' http://127.0.0.1:8082/orders
  writ curl -v --scope orders:read http://127.0.0.1:8082/orders
  writ curl --dpop --private-key billing.key http://127.0.0.1:8082/orders`,
		Args: exactArgs("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd.Context(), args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	c.want.flags(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&c.method, "request", "X", "", "`METHOD`; GET, or POST with --data")
	flags.StringVarP(&c.data, "data", "d", "", "`BODY`; @FILE reads a file, @- standard input")
	flags.StringArrayVarP(&c.headers, "header", "H", nil, "further `HEADER`, 'Name: value'")
	flags.StringVarP(&c.output, "output", "o", "", "`FILE` to write the body to")
	flags.BoolVarP(&c.include, "include", "i", false, "write the answer's status and headers too")
	flags.BoolVarP(&c.verbose, "verbose", "v", false, "show the exchange, the token shortened, on standard error")
	return cmd
}

func (c *call) run(ctx context.Context, address string, out, errOut io.Writer) error {
	request, err := c.request(ctx, address)
	if err != nil {
		return err
	}
	source, err := c.want.source(request.URL.Host)
	if err != nil {
		return err
	}
	transport := source.Client().Transport.(*client.Transport) // which presents the client's certificate, if there is one
	if c.verbose {
		transport.Base = narrator{out: errOut, paint: paletteFor(errOut), base: transport.Base}
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return explainToken(err)
	}
	defer response.Body.Close()
	if err := c.write(response, out); err != nil {
		return err
	}
	return explainAnswer(response)
}

func (c *call) request(ctx context.Context, address string) (*http.Request, error) {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" {
		return nil, usageError{fmt.Errorf("%q is not an absolute URL, such as https://api.example.com/orders", address)}
	}
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	method := c.method
	if method == "" && c.data != "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, usageError{err}
	}
	if c.data == "" {
		request.Body, request.GetBody, request.ContentLength = nil, nil, 0
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, header := range c.headers {
		name, value, found := strings.Cut(header, ":")
		if !found {
			return nil, usageError{fmt.Errorf("header %q is not of the form 'Name: value'", header)}
		}
		request.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return request, nil
}

func (c *call) body() (string, error) {
	name, file := strings.CutPrefix(c.data, "@")
	switch {
	case !file:
		return c.data, nil
	case name == "-":
		data, err := io.ReadAll(os.Stdin)
		return string(data), err
	}
	data, err := os.ReadFile(name)
	return string(data), err
}

func (c *call) write(response *http.Response, out io.Writer) error {
	if c.output != "" {
		file, err := os.Create(c.output)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, response.Body)
		return errors.Join(err, file.Close())
	}
	if c.include {
		fmt.Fprintln(out, response.Proto, response.Status)
		if err := response.Header.Write(out); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	_, err := io.Copy(out, response.Body)
	return err
}

// explainAnswer turns the challenge of a refusal (RFC 6750, 3) into what to do about it.
func explainAnswer(response *http.Response) error {
	if response.StatusCode < http.StatusBadRequest {
		return nil
	}
	err := errors.New("the API answered " + response.Status)
	for _, challenge := range client.ParseChallenges(response.Header) {
		scope := challenge.Parameters["scope"]
		switch oauth.Code(challenge.Parameters["error"]) {
		case oauth.InsufficientScope:
			return advise(err, "the token lacks a scope that this route needs: "+scope+
				"\nask for it with --scope "+quoted(scope)+"; the client must have been granted it: writ client show NAME")
		case oauth.InvalidDPoPProof:
			return advise(err, "the API does not accept the proof: "+challenge.Parameters["error_description"]+
				"\nis the clock of this machine right, and is the URL the one that the API goes by?")
		case oauth.InvalidToken:
			return advise(err, "the API does not accept the token: "+challenge.Parameters["error_description"]+
				"\nlook at it: writ token | writ token inspect")
		}
	}
	return err
}
