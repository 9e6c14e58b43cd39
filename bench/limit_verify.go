package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strconv"
	"strings"
)

// verified returns the claims of a token with one header, after one signature check and nothing else.
func verified(token, header string, key crypto.PublicKey) (claims []byte, ok bool) {
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	if first <= 0 || first == last || header != "" && token[:first] != header {
		return nil, false
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	if err != nil || !signed([]byte(token[:last]), signature, key) {
		return nil, false
	}
	claims, err = base64.RawURLEncoding.DecodeString(token[first+1 : last])
	return claims, err == nil
}

func signed(input, signature []byte, key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		digest := sha256.Sum256(input)
		return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(key, input, signature)
	case *rsa.PublicKey:
		digest := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

// until returns "exp" of claims that the limit server has written, without a decoder.
func until(claims []byte) int64 {
	_, after, _ := bytes.Cut(claims, []byte(`"exp":`))
	end := bytes.IndexAny(after, ",}")
	if end < 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(after[:end]), 10, 64) // 0 has expired
	return n
}

// introspect verifies the signature of one token and repeats its claims.
func (l *limit) introspect(s *signer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || !l.basic(r) {
			refuse(w)
			return
		}
		claims, ok := verified(r.PostForm.Get("token"), s.header, s.public)
		if !ok || until(claims) <= l.now().Unix() {
			write(w, []byte(`{"active":false}`))
			return
		}
		body := make([]byte, 0, 512)
		body = append(body, `{"active":true,"token_type":"Bearer",`...)
		write(w, append(body, claims[1:]...))
	}
}

// introspectNothing compares a secret and says yes: the limit for tokens that are not signed.
func (l *limit) introspectNothing(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil || !l.basic(r) || r.PostForm.Get("token") == "" {
		refuse(w)
		return
	}
	write(w, []byte(`{"active":true,"token_type":"Bearer","iss":"`+limitIssuer+`","sub":"`+limitClient+`","client_id":"`+limitClient+`","aud":"`+limitAudience+`","scope":"read"}`))
}

// assertion is private_key_jwt: one signature check. That an assertion is good only once is not the limit's business; to
// remember it, on disk, is Writ's.
func (l *limit) assertion(r *http.Request) bool {
	claims, ok := verified(r.PostForm.Get("client_assertion"), "", l.client)
	var said struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
		Expires int64  `json:"exp"`
	}
	return ok && json.Unmarshal(claims, &said) == nil && said.Issuer == limitClient && said.Subject == limitClient && said.Expires > l.now().Unix()
}

// dpop answers a request with a proof (RFC 9449): one signature check with the key that it brings, and a token that is
// bound to it.
func (l *limit) dpop(s *signer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || r.PostForm.Get("grant_type") != "client_credentials" || !l.basic(r) {
			refuse(w)
			return
		}
		thumbprint, ok := l.proof(r.Header.Get("DPoP"))
		if !ok {
			refuse(w)
			return
		}
		l.answer(w, s, "DPoP", `,"cnf":{"jkt":"`+thumbprint+`"}`)
	}
}

// proof returns the thumbprint (RFC 7638) of the key of a proof.
func (l *limit) proof(proof string) (thumbprint string, ok bool) {
	encoded, _, _ := strings.Cut(proof, ".")
	header, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", false
	}
	var said struct {
		Type string                `json:"typ"`
		JWK  struct{ X, Y string } `json:"jwk"`
	}
	if json.Unmarshal(header, &said) != nil || said.Type != "dpop+jwt" || len(said.JWK.X) != 43 || len(said.JWK.Y) != 43 {
		return "", false
	}
	point := append(make([]byte, 0, 66), 4)
	for _, coordinate := range []string{said.JWK.X, said.JWK.Y} {
		if point, err = base64.RawURLEncoding.AppendDecode(point, []byte(coordinate)); err != nil {
			return "", false
		}
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return "", false
	}
	claims, ok := verified(proof, encoded, key)
	var what struct {
		Method string `json:"htm"`
		URL    string `json:"htu"`
		Issued int64  `json:"iat"`
	}
	if !ok || json.Unmarshal(claims, &what) != nil || what.Method != http.MethodPost || what.URL != limitIssuer+"/dpop" || what.Issued < l.now().Unix()-60 {
		return "", false
	}
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + said.JWK.X + `","y":"` + said.JWK.Y + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:]), true
}
