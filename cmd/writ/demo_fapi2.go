package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// profileFAPI2 is the server's configuration for the FAPI 2.0 Security Profile.
const profileFAPI2 = "fapi2"

// A fapi2Demo is the story of a key, a token that is bound to one, and a thief who sees everything that is sent.
type fapi2Demo struct {
	*story
	source *client.Source
	token  *client.Token
	thief  *jose.Signer // has a key, but not the client's

	asked, called overheard // what the client sent
}

// overheard is a request as it went over the wire.
type overheard struct {
	request *http.Request
	body    []byte
}

func (d *fapi2Demo) tell(ctx context.Context) error {
	err := d.story.tell(ctx, "Writ, under the FAPI 2.0 Security Profile: keys instead of secrets",
		step{"The client makes a key; an operator registers its public half", d.register},
		step{"The client signs who it is, and asks for a token that is bound to a key", d.askToken},
		step{"It calls the API: each request has a proof of its own", d.call},
		step{"A thief has the token, and sends it as a bearer token", d.asBearer},
		step{"The thief sends it with a proof by another key", d.otherKey},
		step{"The thief overheard a proof, too, and sends it again", d.replayProof},
		step{"The thief sends the client's own token request again", d.replayAssertion})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.narrator.out, "\nWithout the client's key the thief has nothing. In production all of it goes over TLS.\nNext: %s makes a key for a client of yours.\n",
		d.narrator.paint.bold(program()+" key generate"))
	return err
}

func (d *fapi2Demo) register(ctx context.Context) error {
	private, signer, err := newKeyPair()
	if err != nil {
		return err
	}
	if _, d.thief, err = newKeyPair(); err != nil {
		return err
	}
	keys, err := keySet([]jose.Key{signer.Key()})
	if err != nil {
		return err
	}
	d.showing("client_id", "token_endpoint_auth_method", "dpop_bound_access_tokens")
	defer d.showing()
	id, secret, err := d.story.register(ctx, oauth.ClientMetadata{
		ClientName: "billing", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: keys, DPoPBoundAccessTokens: true,
		Grants: []oauth.Grant{{Resource: d.apiURL, Scopes: []string{scopeRead}, Defaults: []string{scopeRead}}},
	})
	switch {
	case err != nil:
		return err
	case secret != "":
		return errors.New("a client with a key was given a secret")
	}
	d.source, err = client.New(client.Config{
		Issuer: d.issuer, TokenEndpoint: d.issuer + "/token", ClientID: id, Credential: client.PrivateKey(private), DPoP: true,
		Resource: d.apiURL, HTTPClient: &http.Client{Transport: listening{d.story, &d.asked}},
	})
	return err
}

func newKeyPair() (crypto.Signer, *jose.Signer, error) {
	private, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		return nil, nil, err
	}
	id, err := jose.Thumbprint(private.Public())
	if err != nil {
		return nil, nil, err
	}
	signer, err := jose.NewSigner(private, jose.ES256, id)
	return private, signer, err
}

// listening sends what the client library sends where the thief hears it.
type listening struct {
	story     *story
	overheard *overheard
}

func (l listening) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := l.overheard.listen(request); err != nil {
		return nil, err
	}
	return l.story.RoundTrip(request)
}

func (o *overheard) listen(request *http.Request) (err error) {
	o.request, o.body = request.Clone(context.Background()), nil
	if request.Body == nil {
		return nil
	}
	if o.body, err = io.ReadAll(request.Body); err == nil {
		request.Body = io.NopCloser(bytes.NewReader(o.body))
	}
	return err
}

// again returns the request once more, byte by byte.
func (o *overheard) again(ctx context.Context) *http.Request {
	request := o.request.Clone(ctx)
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(o.body)), int64(len(o.body))
	return request
}

func (d *fapi2Demo) askToken(ctx context.Context) (err error) {
	if d.token, err = d.source.Token(ctx); err != nil {
		return err
	}
	d.narrator.token(d.token.AccessToken())
	var claims oauth.Claims
	parsed, err := jose.Parse(d.token.AccessToken())
	if err == nil {
		err = parsed.Decode(&claims)
	}
	if err == nil && (d.token.Type != oauth.DPoP || claims.Confirmation == nil) {
		err = errors.New("the token is bound to nothing")
	}
	return err
}

func (d *fapi2Demo) call(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.apiURL+"/orders", http.NoBody)
	if err != nil {
		return err
	}
	if err := d.token.Authorize(request); err != nil {
		return err
	}
	if err := d.called.listen(request); err != nil {
		return err
	}
	status, _, err := d.send(request)
	return errors.Join(err, expect(status, http.StatusOK))
}

// steal makes a request of the API as the thief does, which must be refused for the reason that is given.
func (d *fapi2Demo) steal(request *http.Request, what string, why oauth.Code) error {
	response, err := d.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := expect(response.StatusCode, http.StatusUnauthorized); err != nil {
		return err
	}
	for _, challenge := range client.ParseChallenges(response.Header) {
		if challenge.Parameters["error"] == string(why) {
			return nil
		}
	}
	return fmt.Errorf("%s was not refused as %s: %q", what, string(why), response.Header.Values("WWW-Authenticate"))
}

func (d *fapi2Demo) asBearer(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.apiURL+"/orders", http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+d.token.AccessToken())
	return d.steal(request, "a bound token as a bearer token", oauth.InvalidToken)
}

func (d *fapi2Demo) otherKey(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.apiURL+"/orders", http.NoBody)
	if err != nil {
		return err
	}
	proof, err := d.thiefsProof(request, d.token.AccessToken())
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "DPoP "+d.token.AccessToken())
	request.Header.Set("DPoP", proof)
	return d.steal(request, "a token with another key's proof", oauth.InvalidToken)
}

func (d *fapi2Demo) replayProof(ctx context.Context) error {
	return d.steal(d.called.again(ctx), "a proof that was used before", oauth.InvalidDPoPProof)
}

// replayAssertion sends the client's assertion with a new proof of the thief's: if it were accepted, the thief would have a
// token of its own.
func (d *fapi2Demo) replayAssertion(ctx context.Context) error {
	request := d.asked.again(ctx)
	proof, err := d.thiefsProof(request, "")
	if err != nil {
		return err
	}
	request.Header.Set("DPoP", proof)
	status, body, err := d.send(request)
	if err != nil {
		return err
	}
	var refusal struct {
		Code oauth.Code `json:"error"`
	}
	if err := json.Unmarshal(body, &refusal); err != nil || refusal.Code != oauth.InvalidClient {
		return fmt.Errorf("an assertion that was used before was answered with %d %s", status, string(refusal.Code))
	}
	return expect(status, http.StatusUnauthorized)
}

// thiefsProof makes a proof that is right in everything but the key (RFC 9449, 4.2).
func (d *fapi2Demo) thiefsProof(request *http.Request, token string) (string, error) {
	claims := map[string]any{"jti": rand.Text(), "htm": request.Method, "htu": request.URL.String(), "iat": time.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return d.thief.SignWithKey(oauth.TypeDPoP, payload)
}
