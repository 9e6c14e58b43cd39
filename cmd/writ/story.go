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
	"os"
	"path/filepath"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// A story tells a flow in steps, with a server of its own. Each step makes real requests and fails if an answer is not
// what it should be.
type story struct {
	*dev
	narrator narrator

	exchanges int    // shown in this step
	caption   string // of the next exchange
}

// A step of a story.
type step struct {
	title string
	run   func(context.Context) error
}

// tellStory starts a server with a profile in a directory of its own, lets what tell makes of it happen, and leaves
// nothing behind.
func tellStory(ctx context.Context, out io.Writer, profile string, tell func(*story) error) (err error) {
	dir, err := os.MkdirTemp("", "writ-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := startDev(ctx, devOptions{dir: dir, profile: profile, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	return tell(&story{dev: d, narrator: narrator{out: out, paint: paletteFor(out), brief: true}})
}

// tell tells the steps in turn.
func (s *story) tell(ctx context.Context, title string, steps ...step) error {
	out, paint := s.narrator.out, s.narrator.paint
	fmt.Fprintf(out, "%s\n\n", paint.bold(title))
	if err := writeFields(out, "  issuer", s.issuer, "  admin API", s.operator.credential.Admin, "  an API to protect", s.apiURL); err != nil {
		return err
	}
	for i, step := range steps {
		s.exchanges = 0
		fmt.Fprintf(out, "\n%s\n\n", paint.bold(fmt.Sprintf("%d  %s", i+1, step.title)))
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	_, err := fmt.Fprintf(out, "\n%s\n", paint.green("✓ All as it should be."))
	return err
}

// program is how this program was called, so that what it says to type next works as well.
func program() string {
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	return "writ"
}

// showing sets which members of JSON answers are shown from here on; all, without any.
func (s *story) showing(members ...string) { s.narrator.only = members }

// announce writes what stands before an exchange.
func (s *story) announce() {
	if s.exchanges++; s.exchanges > 1 {
		fmt.Fprintln(s.narrator.out)
	}
	if s.caption != "" {
		fmt.Fprintln(s.narrator.out, "  "+s.narrator.paint.dim(s.caption))
		s.caption = ""
	}
}

// RoundTrip makes and shows a request. A story is an http.RoundTripper, for the client library to speak through.
func (s *story) RoundTrip(request *http.Request) (*http.Response, error) {
	s.announce()
	return s.narrator.RoundTrip(request)
}

// send makes and shows a request, and returns status and body of the answer.
func (s *story) send(request *http.Request) (int, []byte, error) {
	response, err := s.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// asOperator makes a request of the admin API with the operator's token.
func (s *story) asOperator(ctx context.Context, path string, body any) (int, []byte, error) {
	token, err := s.operator.source.Token(ctx)
	if err != nil {
		return 0, nil, err
	}
	request, err := jsonRequest(ctx, http.MethodPost, s.operator.credential.Admin+path, body)
	if err != nil {
		return 0, nil, err
	}
	if err := token.Authorize(request); err != nil {
		return 0, nil, err
	}
	return s.send(request)
}

// jsonRequest returns a request with a body, or without one for nil.
func jsonRequest(ctx context.Context, method, address string, body any) (*http.Request, error) {
	if body == nil {
		return http.NewRequestWithContext(ctx, method, address, http.NoBody)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// register registers a client as the operator.
func (s *story) register(ctx context.Context, metadata oauth.ClientMetadata) (id, secret string, err error) {
	status, body, err := s.asOperator(ctx, "/admin/v1/clients", metadata)
	if err != nil {
		return "", "", err
	}
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(body, &made); err != nil {
		return "", "", err
	}
	return made.ID, made.Secret, expect(status, http.StatusCreated)
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
