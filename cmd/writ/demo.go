package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/oauth"
)

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole flow once, and exit",
		Long: `Start a server and an API on free ports of this machine, go through the whole flow with
real requests, show each of them, and leave nothing behind: register, token, 200, no token
401, wrong scope 403, key rotated and still 200, client suspended and refused.

With --fapi2 the same with keys instead of secrets, under the FAPI 2.0 Security Profile:
a token that is bound to a key, and what becomes of who steals it.

It exits with 1 if any answer is not the one expected.`,
		Example: "  writ demo\n  writ demo --fapi2",
		Args:    noArgs,
	}
	fapi2 := cmd.Flags().Bool("fapi2", false, "with keys instead of secrets, and a thief")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *fapi2 {
			return tellStory(cmd.Context(), cmd.OutOrStdout(), profileFAPI2, func(s *story) error {
				return (&fapi2Demo{story: s}).tell(cmd.Context())
			})
		}
		return tellStory(cmd.Context(), cmd.OutOrStdout(), "", func(s *story) error {
			return (&demo{story: s}).tell(cmd.Context())
		})
	}
	return cmd
}

// A demo is the story of a secret and a bearer token.
type demo struct {
	*story
	billing struct{ ID, secret string }
	token   string
}

func (d *demo) tell(ctx context.Context) error {
	err := d.story.tell(ctx, "Writ, the whole flow",
		step{"An operator registers a client that may read orders, and no more", d.register},
		step{"The client asks for a token", d.askToken},
		step{"It calls the API with the token", d.call},
		step{"Someone calls without a token", d.callWithout},
		step{"The client tries what it was not granted", d.callBeyond},
		step{"The operator rotates the signing key", d.rotate},
		step{"The operator suspends the client", d.suspend})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.narrator.out, "\nNext: %s keeps this running for you; the README has an API of your own.\n",
		d.narrator.paint.bold(program()+" dev"))
	return err
}

func (d *demo) register(ctx context.Context) (err error) {
	d.showing("client_id", "client_secret")
	defer d.showing()
	d.billing.ID, d.billing.secret, err = d.story.register(ctx, oauth.ClientMetadata{
		ClientName: "billing",
		Grants:     []oauth.Grant{{Resource: d.apiURL, Scopes: []string{scopeRead}, Defaults: []string{scopeRead}}},
	})
	return err
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
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(d.billing.ID, d.billing.secret)
	status, body, err := d.send(request)
	if err != nil || status != http.StatusOK {
		return status, err
	}
	var answer oauth.TokenResponse
	err = json.Unmarshal(body, &answer)
	d.token = answer.AccessToken
	return status, err
}

// api makes a request of the API, with the token unless that is "".
func (d *demo) api(ctx context.Context, method, token string, body any, want int) error {
	request, err := jsonRequest(ctx, method, d.apiURL+"/orders", body)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	status, _, err := d.send(request)
	return errors.Join(err, expect(status, want))
}

func (d *demo) call(ctx context.Context) error {
	return d.api(ctx, http.MethodGet, d.token, nil, http.StatusOK)
}

func (d *demo) callWithout(ctx context.Context) error {
	return d.api(ctx, http.MethodGet, "", nil, http.StatusUnauthorized)
}

func (d *demo) callBeyond(ctx context.Context) error {
	return d.api(ctx, http.MethodPost, d.token, map[string]string{"item": "quill"}, http.StatusForbidden)
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
