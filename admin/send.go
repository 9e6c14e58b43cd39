package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// maxAnswer bounds what is read of an answer: a full page of the largest records is less.
const maxAnswer = 64 << 20

// segment makes a name a path segment. One that the API would not take for a name becomes one that it does not find,
// instead of another path.
func segment(name string) string {
	if strings.Trim(name, ".") == "" || strings.ContainsAny(name, "/%") {
		return "-"
	}
	return url.PathEscape(name)
}

// order is call without an answer.
func (a *API) order(ctx context.Context, method, path string, body any, options []Option) error {
	_, _, err := a.send(ctx, method, path, body, options)
	return err
}

// call makes a request and reads the answer.
func call[T any](ctx context.Context, a *API, method, path string, body any, options []Option) (T, error) {
	answer, _, err := tagged[T](ctx, a, method, path, body, options)
	return answer, err
}

// tagged is call for an object that has an ETag.
func tagged[T any](ctx context.Context, a *API, method, path string, body any, options []Option) (answer T, etag string, err error) {
	data, header, err := a.send(ctx, method, path, body, options)
	if err != nil {
		return answer, "", err
	}
	// Unknown members are let by: a newer server may say more.
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, "", fmt.Errorf("admin API: %s %s: the answer is not what was expected: %w", method, path, err)
	}
	return answer, header.Get("ETag"), nil
}

// pages returns what is on all pages of a list, each fetched when it is come to.
func pages[T any](ctx context.Context, a *API, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := ""; ; {
			page, err := call[Page[T]](ctx, a, http.MethodGet, path+asQuery(query, "cursor", cursor), nil, nil)
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
			if page.Next == "" || page.Next == cursor {
				return
			}
			cursor = page.Next
		}
	}
}

// asQuery returns a query with one more parameter, unless that is empty.
func asQuery(query url.Values, name, value string) string {
	text := query.Encode()
	if value != "" {
		text = strings.TrimPrefix(text+"&"+name+"="+url.QueryEscape(value), "&")
	}
	if text == "" {
		return ""
	}
	return "?" + text
}

// send makes one request and returns the body and the header of the answer.
func (a *API) send(ctx context.Context, method, path string, body any, options []Option) ([]byte, http.Header, error) {
	request, err := a.request(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	for _, option := range options {
		option(request.Header)
	}
	response, err := a.http.Do(request)
	if err != nil {
		return nil, nil, fmt.Errorf("admin API: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // read or given up
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("admin API: %s %s: %w", method, path, err)
	case len(data) > maxAnswer:
		return nil, nil, errors.New("admin API: the answer is too large")
	case response.StatusCode == http.StatusNotModified:
		return nil, nil, ErrNotModified
	case response.StatusCode/100 != 2:
		return nil, nil, readProblem(response.StatusCode, data)
	}
	return data, response.Header, nil
}

func (a *API) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("admin API: %w", err)
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.url+path, reader)
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
