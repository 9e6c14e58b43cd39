package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

func withOperatorKey(t *testing.T, b *bench) *Registry {
	t.Helper()
	return New(Options{Issuer: issuer, Store: b.store, Ring: b.ring, Now: b.now, OperatorKey: true})
}

// mustBeKeyed fails unless the operator can authenticate with the private key that was handed out, and with nothing else.
func mustBeKeyed(t *testing.T, record store.Client, operator NewOperator) *jose.Signer {
	t.Helper()
	signer, err := jose.ParseSigner([]byte(operator.PrivateKey.Reveal()), "")
	if err != nil || signer.Algorithm != jose.ES256 {
		t.Fatalf("private key: %v, %+v", err, signer)
	}
	if record.AuthMethod != oauth.PrivateKeyJWT || !record.DPoPBound || record.Secrets != nil || operator.Secret != "" || record.FormerMethod != "" {
		t.Errorf("the operator is %+v", record)
	}
	keys, err := jose.ParseJWKS(operator.JWKS)
	if err != nil || len(keys) != 1 || len(record.Keys) != 1 || keys[0].ID != record.Keys[0].ID {
		t.Fatalf("keys are %+v, %v", keys, err)
	}
	compact, err := signer.Sign("JWT", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	if err := token.Verify(keys[0]); err != nil {
		t.Errorf("the registered key does not verify what the private one signs: %v", err)
	}
	return signer
}

func TestOperatorKey(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	r := withOperatorKey(t, b)
	made, err := r.Bootstrap(ctx)
	if err != nil || made == nil {
		t.Fatalf("got %v, %v", made, err)
	}
	first := mustBeKeyed(t, b.record(made.ID), *made)
	reset, err := r.ResetOperator(ctx)
	if err != nil || reset.ID != made.ID {
		t.Fatalf("got %+v, %v", reset, err)
	}
	if second := mustBeKeyed(t, b.record(made.ID), reset); second.KeyID == first.KeyID {
		t.Error("reset gave the old key again")
	}

	// A server whose profile changes gives its operator back the other way in.
	secret, err := b.ResetOperator(ctx)
	if err != nil || secret.Secret == "" || secret.PrivateKey != "" {
		t.Fatalf("got %+v, %v", secret, err)
	}
	if record := b.record(made.ID); record.AuthMethod != oauth.ClientSecretBasic || record.DPoPBound || record.Keys != nil || len(record.Secrets) != 1 {
		t.Errorf("the operator is %+v", record)
	}
	again, err := r.ResetOperator(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mustBeKeyed(t, b.record(made.ID), again)
}

// TestResetOperatorFromCertificate: whatever the operator's client became, reset gives a way in.
func TestResetOperatorFromCertificate(t *testing.T) {
	b := withOrders(t)
	update := ClientUpdate{ClientMetadata: oauth.ClientMetadata{
		ClientName: Operator, TokenEndpointAuthMethod: oauth.TLSClientAuth, TLSClientAuthSANDNS: "a.example", TLSClientCertificateBoundAccessTokens: true,
	}, KeepFormerUntil: noon.Add(maxOverlap)}
	changed, err := b.UpdateClient(t.Context(), System("test"), Operator, update)
	if err != nil {
		t.Fatal(err)
	}
	reset, err := b.ResetOperator(t.Context())
	record := b.record(changed.ID)
	if err != nil || record.AuthMethod != oauth.ClientSecretBasic || record.CertificateRule != "" || record.CertificateBound || record.FormerMethod != "" ||
		len(record.Secrets) != 1 || record.Secrets[0].Hash != store.HashSecret(reset.Secret.Reveal()) {
		t.Errorf("got %+v, %v", record, err)
	}
}

func TestPrivateKeyIsRedacted(t *testing.T) {
	b := newBench(t)
	made, err := withOperatorKey(t, b).Bootstrap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	private := made.PrivateKey.Reveal()
	_, d, _ := strings.Cut(private, `"d":"`)
	if d, _, _ = strings.Cut(d, `"`); len(d) != 43 {
		t.Fatalf("%d bytes of private key", len(d))
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "key", made.PrivateKey, "operator", made)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "key", made.PrivateKey, "operator", made)
	standard, err := json.Marshal(struct{ A, B any }{made.PrivateKey, made})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{
		log.String(), string(standard), detail(made), detail(made.PrivateKey), made.PrivateKey.String(),
		fmt.Sprintf("%v %+v %#v %s %q %x %X %d", made, made, made, made.PrivateKey, made.PrivateKey, made.PrivateKey, made.PrivateKey, made.PrivateKey),
	}
	for _, event := range b.events() {
		texts = append(texts, event.Detail)
	}
	for _, text := range texts {
		if strings.Contains(text, d) || strings.Contains(text, fmt.Sprintf("%x", d)) {
			t.Errorf("the private key is in %s", text)
		}
	}
	if !strings.Contains(log.String(), redacted) {
		t.Errorf("the log is %s", log.String())
	}
}
