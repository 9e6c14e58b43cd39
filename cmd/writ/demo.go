package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/oauth"
)

func newDemo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the whole flow once, and exit",
		Long: `Start a server and an API on free ports of this machine, go through the whole flow with
real requests, show each of them, and leave nothing behind: register, token, 200, no token
401, wrong scope 403, key rotated and still 200, client suspended and refused.

It exits with 1 if any answer is not the one expected.`,
		Example: "  writ demo",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			dir, err := os.MkdirTemp("", "writ-demo-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			d, err := startDev(cmd.Context(), dir, 0, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.close()) }()
			out := cmd.OutOrStdout()
			story := &demo{dev: d, narrator: narrator{out: out, paint: paletteFor(out), brief: true}}
			return story.tell(cmd.Context())
		},
	}
}

// A demo tells the flow in steps. Each step makes a real request and fails if the answer is not what it should be.
type demo struct {
	*dev
	narrator narrator

	step      int
	exchanges int    // shown in this step
	caption   string // of the next exchange
	billing   struct{ ID, secret string }
	token     string
}

func (d *demo) tell(ctx context.Context) error {
	paint := d.narrator.paint
	out := d.narrator.out
	fmt.Fprintf(out, "%s\n\n", paint.bold("Writ, the whole flow"))
	if err := writeFields(out, "  issuer", d.issuer, "  admin API", d.operator.credential.Admin, "  an API to protect", d.apiURL); err != nil {
		return err
	}
	for _, step := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"An operator registers a client that may read orders, and no more", d.register},
		{"The client asks for a token", d.askToken},
		{"It calls the API with the token", d.call},
		{"Someone calls without a token", d.callWithout},
		{"The client tries what it was not granted", d.callBeyond},
		{"The operator rotates the signing key", d.rotate},
		{"The operator suspends the client", d.suspend},
	} {
		d.step++
		d.exchanges = 0
		fmt.Fprintf(out, "\n%s\n\n", paint.bold(fmt.Sprintf("%d  %s", d.step, step.title)))
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("step %d: %w", d.step, err)
		}
	}
	fmt.Fprintf(out, "\n%s\n\nNext: %s keeps this running for you; the README has an API of your own.\n",
		paint.green("✓ All as it should be."), paint.bold(program()+" dev"))
	return nil
}

// program is how this program was called, so that what it says to type next works as well.
func program() string {
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	return "writ"
}

// showing sets which members of JSON answers are shown from here on; all, without any.
func (d *demo) showing(members ...string) { d.narrator.only = members }

func (d *demo) register(ctx context.Context) error {
	d.showing("client_id", "client_secret")
	defer d.showing()
	status, body, err := d.asOperator(ctx, "/admin/v1/clients", oauth.ClientMetadata{
		ClientName: "billing",
		Grants:     []oauth.Grant{{Resource: d.apiURL, Scopes: []string{scopeRead}, Defaults: []string{scopeRead}}},
	})
	if err != nil {
		return err
	}
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(body, &made); err != nil {
		return err
	}
	d.billing.ID, d.billing.secret = made.ID, made.Secret
	return expect(status, http.StatusCreated)
}

// asOperator makes a request of the admin API with the operator's token.
func (d *demo) asOperator(ctx context.Context, path string, body any) (int, []byte, error) {
	token, err := d.operator.source.Token(ctx)
	if err != nil {
		return 0, nil, err
	}
	data := []byte{}
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	return d.send(ctx, http.MethodPost, d.operator.credential.Admin+path, "application/json", data, "Bearer "+token.AccessToken())
}

func (d *demo) send(ctx context.Context, method, address, contentType string, body []byte, authorization string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", contentType)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	if d.exchanges++; d.exchanges > 1 {
		fmt.Fprintln(d.narrator.out)
	}
	if d.caption != "" {
		fmt.Fprintln(d.narrator.out, "  "+d.narrator.paint.dim(d.caption))
		d.caption = ""
	}
	response, err := d.narrator.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

func (d *demo) askToken(ctx context.Context) error {
	status, err := d.requestToken(ctx)
	if err != nil {
		return err
	}
	d.narrator.token(d.token)
	return expect(status, http.StatusOK)
}

func (d *demo) requestToken(ctx context.Context) (int, error) {
	form := url.Values{"grant_type": {oauth.ClientCredentials}, "resource": {d.apiURL}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.issuer+"/token", strings.NewReader(form))
	if err != nil {
		return 0, err
	}
	request.SetBasicAuth(d.billing.ID, d.billing.secret)
	status, body, err := d.send(ctx, http.MethodPost, d.issuer+"/token", "application/x-www-form-urlencoded", []byte(form), request.Header.Get("Authorization"))
	if err != nil || status != http.StatusOK {
		return status, err
	}
	var answer oauth.TokenResponse
	err = json.Unmarshal(body, &answer)
	d.token = answer.AccessToken
	return status, err
}

func (d *demo) get(ctx context.Context, authorization string, want int) error {
	status, _, err := d.send(ctx, http.MethodGet, d.apiURL+"/orders", "", nil, authorization)
	return errors.Join(err, expect(status, want))
}

func (d *demo) call(ctx context.Context) error { return d.get(ctx, "Bearer "+d.token, http.StatusOK) }

func (d *demo) callWithout(ctx context.Context) error { return d.get(ctx, "", http.StatusUnauthorized) }

func (d *demo) callBeyond(ctx context.Context) error {
	status, _, err := d.send(ctx, http.MethodPost, d.apiURL+"/orders", "application/json", []byte(`{"item":"quill"}`), "Bearer "+d.token)
	return errors.Join(err, expect(status, http.StatusForbidden))
}

func (d *demo) rotate(ctx context.Context) error {
	d.showing("id", "status", "token_type", "expires_in")
	defer d.showing()
	status, _, err := d.asOperator(ctx, "/admin/v1/keys/rotate", map[string]any{"algorithm": "ES256", "now": true})
	if err = errors.Join(err, expectDone(status)); err != nil {
		return err
	}
	d.caption = "The token from before is still good:"
	if err := d.call(ctx); err != nil {
		return err
	}
	d.caption = "A new token has the new key:"
	if err := d.askToken(ctx); err != nil {
		return err
	}
	d.caption = "It is good as well:"
	return d.call(ctx)
}

func (d *demo) suspend(ctx context.Context) error {
	d.showing("client_id", "suspended")
	status, _, err := d.asOperator(ctx, "/admin/v1/clients/"+d.billing.ID+"/suspend", nil)
	if err = errors.Join(err, expectDone(status)); err != nil {
		return err
	}
	d.showing()
	status, err = d.requestToken(ctx)
	return errors.Join(err, expect(status, http.StatusUnauthorized))
}

func expect(status, want int) error {
	if status != want {
		return fmt.Errorf("the answer was %d, and should have been %d", status, want)
	}
	return nil
}

func expectDone(status int) error {
	if status < 200 || status > 299 {
		return fmt.Errorf("the answer was %d", status)
	}
	return nil
}
