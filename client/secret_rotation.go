package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// minRotation is the shortest interval: the issuer keeps former secrets for a day, and only so many of them.
const minRotation = 2 * time.Hour

// How long after a failure nothing is tried: one that may pass, and one that a person has to look at.
const (
	rotationPause   = time.Minute
	rotationRefused = time.Hour
)

// RotatingSecretFile returns a credential like that of SecretFile which also renews the secret: when the file is older than
// every (at least two hours), or two thirds of the life that the issuer gave the secret are over, the client asks the issuer
// for its next one, after the next token that it obtains, and replaces the file. The issuer must be Writ, and an operator
// must allow it (writ client update --may-rotate-secret); Config.Issuer must be set.
//
// The file is replaced at once and as a whole, for its owner and group, when the successor is safe on the disk; then it is
// used. Beside it, FILE.rotation keeps what a rotation that was interrupted needs to go on: a crash at any point loses no
// secret. Several clients and processes may share the file. Failures are logged (Config.Logger), and tried again.
func RotatingSecretFile(path string, every time.Duration) Credential {
	file := secretFile{path}
	return &rotatingSecret{secret: secret{reveal: file.best}, file: file, every: every}
}

type rotatingSecret struct {
	secret
	file  secretFile
	every time.Duration

	mu    sync.Mutex // held by who rotates
	quiet time.Time  // nothing is tried before; under mu
}

func (r *rotatingSecret) check(issuer string) error {
	if r.every < minRotation {
		return fmt.Errorf("a rotation every %v is too often: the least is %v", r.every, minRotation)
	}
	return r.secret.check(issuer)
}

// due reports whether the secret is to be renewed now.
func (r *rotatingSecret) due(now time.Time) (bool, error) {
	current, written, err := r.file.read()
	if err != nil {
		return false, err
	}
	state, err := r.file.state(current)
	if err != nil {
		return false, err
	}
	ends := state.expires()
	return state.Request != "" || now.Sub(written) >= r.every || !ends.IsZero() && now.After(ends.Add(-ends.Sub(written)/3)), nil
}

// rotateIfDue renews the secret of the configuration, if it is one that renews itself and its time has come. Nobody waits for
// it.
func (s *server) rotateIfDue(ctx context.Context) {
	r, is := s.config.Credential.(*rotatingSecret)
	if !is || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if !reached(r.quiet) {
		return
	}
	due, err := r.due(time.Now())
	if err == nil && due {
		err = s.rotate(ctx, r)
	}
	if err == nil {
		return
	}
	r.quiet = time.Now().Add(rotationRefused)
	if _, passing := errors.AsType[*transientError](err); passing {
		r.quiet = time.Now().Add(rotationPause)
	}
	s.log.WarnContext(ctx, "client: secret not rotated, the old one stays", "issuer", s.config.Issuer, "client_id", s.config.ClientID, "file", r.file.path, "error", err)
}

// RotateSecret gives the client its next secret now, however old the one in the file is. The Credential must be a
// RotatingSecretFile.
func (s *Source) RotateSecret(ctx context.Context) error {
	r, is := s.server.config.Credential.(*rotatingSecret)
	if !is {
		return errors.New("client: RotateSecret: the credential is no RotatingSecretFile")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := s.server.rotate(ctx, r); err != nil {
		return fmt.Errorf("client: secret of %s: %w", s.server.config.ClientID, err)
	}
	return nil
}

// rotate is one rotation, or the rest of one that was interrupted. Each step is on the disk before the next one: the request
// by its ID, which can be repeated; then the successor; then the file with it, from which it is used.
func (s *server) rotate(ctx context.Context, r *rotatingSecret) error {
	current, _, err := r.file.read()
	if err != nil {
		return err
	}
	state, err := r.file.begin(current)
	if err != nil {
		return err
	}
	if state.Successor == "" {
		answer, err := s.askRotation(ctx, current, state.Request)
		if now, _, readErr := r.file.read(); err != nil && readErr == nil && now != current {
			return nil // another process was faster, and has put its successor there
		}
		if err != nil {
			return err
		}
		state.Successor, state.Expires = answer.Secret, answer.Expires
		if err := r.file.keep(state); err != nil {
			return err
		}
	}
	return r.file.replace(current, state)
}

// A rotationAnswer is what the issuer answers.
type rotationAnswer struct {
	ClientID string `json:"client_id"`
	Secret   string `json:"client_secret"`
	Expires  int64  `json:"client_secret_expires_at"` // 0: never
}

// askRotation asks for the successor of a secret.
func (s *server) askRotation(ctx context.Context, current, id string) (*rotationAnswer, error) {
	endpoint, err := s.rotationEndpoint(ctx)
	if err != nil {
		return nil, err
	}
	r := tokenRequest{clientID: s.config.ClientID, method: s.config.authMethod(), header: http.Header{}, form: url.Values{"request_id": {id}}}
	r.attachSecret(current)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(r.form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("rotation: %w", err)
	}
	request.Header = r.header
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.exchange(request)
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK {
		return nil, answer.notRotated()
	}
	var made rotationAnswer
	if err := answer.decode(&made); err != nil {
		return nil, fmt.Errorf("%s: %w", answer.address, err)
	}
	if made.ClientID != s.config.ClientID || made.Secret == "" || made.Secret == current || strings.ContainsAny(made.Secret, "\r\n") {
		return nil, fmt.Errorf("%s: the answer has no new secret of this client", answer.address)
	}
	return &made, nil
}

// notRotated turns an answer without a secret into an error.
func (a *answer) notRotated() error {
	body, said := a.errorBody()
	if !said {
		return a.unexpected("check that the issuer lets clients rotate their secrets")
	}
	refused := oauth.Errorf(oauth.Code(oauth.SafeText(string(body.Code))), oauth.SafeText(body.Description))
	return a.judged(fmt.Errorf("%s answered %d: %w", a.address, a.status, refused))
}

func (s *server) rotationEndpoint(ctx context.Context) (string, error) {
	if s.config.Issuer == "" {
		return "", errors.New("the issuer is not configured, whose metadata says where secrets are rotated")
	}
	metadata, err := s.discovery.metadata(ctx, s.fetchMetadata)
	if err != nil {
		return "", err
	}
	if metadata.ClientSecretRotationEndpoint == "" {
		return "", errors.New("the issuer does not let clients rotate their secrets: its metadata names no client_secret_rotation_endpoint")
	}
	return metadata.ClientSecretRotationEndpoint, nil
}
