package adminapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/oauth"
)

// Caller calls the admin API of a server. It is safe for concurrent use. Its errors are *Problem for what the server
// refused.
type Caller struct {
	HTTP *http.Client // adds the access token; required
	URL  string       // where the API is, up to and with Prefix
}

// maxAnswer bounds what is read of an answer: a full page of the largest records is less.
const maxAnswer = 64 << 20

// CreateClient registers a client. The answer shows the secret of one that has a secret, this once.
func (c *Caller) CreateClient(ctx context.Context, metadata oauth.ClientMetadata) (Registered, error) {
	return call[Registered](ctx, c, http.MethodPost, "/clients", metadata)
}

// Client returns a client by ID or name.
func (c *Caller) Client(ctx context.Context, nameOrID string) (Client, error) {
	return call[Client](ctx, c, http.MethodGet, "/clients/"+segment(nameOrID), nil)
}

// Clients returns all clients in the order of their IDs, page by page as they are asked for.
func (c *Caller) Clients(ctx context.Context) iter.Seq2[Client, error] {
	return pages[Client](ctx, c, "/clients")
}

// UpdateClient replaces what is registered about a client. Its keys stay when the update names neither jwks nor jwks_uri. To
// change one thing, change the metadata of what Client returned.
func (c *Caller) UpdateClient(ctx context.Context, nameOrID string, update ClientUpdate) (Client, error) {
	return call[Client](ctx, c, http.MethodPut, "/clients/"+segment(nameOrID), update)
}

// AddClientKey gives a client one more public key, a JWK or PEM, which counts from notBefore until expires; with the zero
// times at once and for good. It sends what it is given: keep private keys from it.
func (c *Caller) AddClientKey(ctx context.Context, nameOrID string, key []byte, notBefore, expires time.Time) (ClientKey, error) {
	body := NewKey{PEM: string(key), NotBefore: notBefore, Expires: expires}
	if start := bytes.TrimLeft(key, " \t\r\n"); len(start) > 0 && start[0] == '{' {
		body = NewKey{JWK: key, NotBefore: notBefore, Expires: expires}
	}
	return call[ClientKey](ctx, c, http.MethodPost, "/clients/"+segment(nameOrID)+"/keys", body)
}

// RevokeClientKey takes a key, by its ID or its thumbprint, from a client. An ID that cannot stand in a path, because it has
// a slash, needs the thumbprint.
func (c *Caller) RevokeClientKey(ctx context.Context, nameOrID, key string) error {
	return order(ctx, c, http.MethodDelete, "/clients/"+segment(nameOrID)+"/keys/"+segment(key))
}

// SuspendClient stops a client and makes its tokens inactive.
func (c *Caller) SuspendClient(ctx context.Context, nameOrID string) (Client, error) {
	return call[Client](ctx, c, http.MethodPost, "/clients/"+segment(nameOrID)+"/suspend", nil)
}

// ResumeClient lets a suspended client have tokens again.
func (c *Caller) ResumeClient(ctx context.Context, nameOrID string) (Client, error) {
	return call[Client](ctx, c, http.MethodPost, "/clients/"+segment(nameOrID)+"/resume", nil)
}

// DeleteClient removes a client.
func (c *Caller) DeleteClient(ctx context.Context, nameOrID string) error {
	return order(ctx, c, http.MethodDelete, "/clients/"+segment(nameOrID))
}

// CreateResource registers a resource.
func (c *Caller) CreateResource(ctx context.Context, settings ResourceSettings) (Resource, error) {
	return call[Resource](ctx, c, http.MethodPost, "/resources", settings)
}

// Resource returns a resource.
func (c *Caller) Resource(ctx context.Context, uri string) (Resource, error) {
	return call[Resource](ctx, c, http.MethodGet, "/resources/"+wire.ResourceID(uri), nil)
}

// Resources returns all resources in the order of their URIs.
func (c *Caller) Resources(ctx context.Context) iter.Seq2[Resource, error] {
	return pages[Resource](ctx, c, "/resources")
}

// DeleteResource removes a resource that no grant and no role names.
func (c *Caller) DeleteResource(ctx context.Context, uri string) error {
	return order(ctx, c, http.MethodDelete, "/resources/"+wire.ResourceID(uri))
}

// CreateRole registers a role.
func (c *Caller) CreateRole(ctx context.Context, settings RoleSettings) (Role, error) {
	return call[Role](ctx, c, http.MethodPost, "/roles", settings)
}

// Role returns a role.
func (c *Caller) Role(ctx context.Context, name string) (Role, error) {
	return call[Role](ctx, c, http.MethodGet, "/roles/"+segment(name), nil)
}

// Roles returns all roles in the order of their names.
func (c *Caller) Roles(ctx context.Context) iter.Seq2[Role, error] {
	return pages[Role](ctx, c, "/roles")
}

// DeleteRole removes a role that no client has.
func (c *Caller) DeleteRole(ctx context.Context, name string) error {
	return order(ctx, c, http.MethodDelete, "/roles/"+segment(name))
}

// Keys returns the keys of the ring.
func (c *Caller) Keys(ctx context.Context) ([]Key, error) {
	page, err := call[Page[Key]](ctx, c, http.MethodGet, "/keys", nil)
	return page.Items, err
}

// RotateKey announces a new key for an algorithm, or with immediately lets it sign at once.
func (c *Caller) RotateKey(ctx context.Context, algorithm string, immediately bool) (Key, error) {
	return call[Key](ctx, c, http.MethodPost, "/keys/rotate", Rotation{Algorithm: algorithm, Now: immediately})
}

// RevokeKey withdraws a key at once.
func (c *Caller) RevokeKey(ctx context.Context, id string) error {
	return order(ctx, c, http.MethodPost, "/keys/"+segment(id)+"/revoke")
}

// segment makes a name a path segment. One that the API would not take for a name becomes one that it does not find,
// instead of another path.
func segment(name string) string {
	if strings.Trim(name, ".") == "" || strings.ContainsAny(name, "/%") {
		return "-"
	}
	return url.PathEscape(name)
}

// order is call without an answer.
func order(ctx context.Context, c *Caller, method, path string) error {
	_, err := c.send(ctx, method, path, nil)
	return err
}

// call makes a request, with further headers as names and values in turn, and reads the answer.
func call[T any](ctx context.Context, c *Caller, method, path string, body any, header ...string) (T, error) {
	var answer T
	data, err := c.send(ctx, method, path, body, header...)
	if err != nil {
		return answer, err
	}
	// Not RejectUnknownMembers: a newer server may say more.
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, fmt.Errorf("admin API: %s %s: the answer is not what was expected: %w", method, path, err)
	}
	return answer, nil
}

func pages[T any](ctx context.Context, c *Caller, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after := ""; ; {
			page, err := call[Page[T]](ctx, c, http.MethodGet, path+"?after="+url.QueryEscape(after), nil)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" || page.Next == after {
				return
			}
			after = page.Next
		}
	}
}

// send makes one request and returns the body of the answer.
func (c *Caller) send(ctx context.Context, method, path string, body any, header ...string) ([]byte, error) {
	request, err := c.request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := *c.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a token goes nowhere else
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // read or given up
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("admin API: %s %s: %w", method, path, err)
	}
	if len(data) > maxAnswer {
		return nil, errors.New("admin API: the answer is too large")
	}
	if response.StatusCode/100 != 2 {
		return nil, readProblem(response.StatusCode, data)
	}
	return data, nil
}

func (c *Caller) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("admin API: %w", err)
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, reader)
	if err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", "application/json")
	return request, nil
}

// readProblem makes an error of a refusal: a problem document, or the OAuth error of a token that was not good enough.
func readProblem(status int, data []byte) *Problem {
	var answer struct {
		Problem
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		answer.Problem = Problem{} // from something in between, which speaks no JSON
	}
	p := answer.Problem
	p.Status = status
	if p.Title == "" {
		p.Title = fmt.Sprintf("%d %s", status, http.StatusText(status))
	}
	if p.Detail == "" && answer.Code != "" {
		p.Detail = oauth.SafeText(answer.Code + ": " + answer.Description)
	}
	return &p
}
