package main

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
)

// What a good answer holds.
var (
	goodToken = []byte(`"access_token":"`)
	goodProof = []byte(`"token_type":"DPoP"`)
	goodState = []byte(`"active":true`)
	goodAPI   = ordersBody
)

// constant returns requests that are always the same.
func constant(request string) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, request...) }
}

// posted is a form that is sent to a path.
func posted(host, path, header, form string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + header +
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " + strconv.Itoa(len(form)) + "\r\n\r\n" + form
}

// basic is the header of client_secret_basic (RFC 6749, 2.3.1).
func basic(as credential) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(as.ID)+":"+url.QueryEscape(as.Secret))) + "\r\n"
}

const grant = "grant_type=client_credentials"

// tokenRequests ask for tokens with client_secret_basic.
func tokenRequests(name, address, path string, as credential) target {
	return target{name: name, address: address, good: goodToken, request: constant(posted(address, path, basic(as), grant))}
}

// postRequests ask with client_secret_post.
func postRequests(name, address, path string, as credential) target {
	form := grant + "&client_id=" + url.QueryEscape(as.ID) + "&client_secret=" + url.QueryEscape(as.Secret)
	return target{name: name, address: address, good: goodToken, request: constant(posted(address, path, "", form))}
}

// assertionRequests ask with private_key_jwt: each with an assertion of its own.
func assertionRequests(name, address, path string, as credential, issuer string, key *jose.Signer) target {
	return target{name: name, address: address, good: goodToken, fresh: func() ([]byte, error) {
		assertion, err := pop.NewAssertion(key, as.ID, issuer, time.Now())
		form := grant + "&client_assertion_type=" + url.QueryEscape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") + "&client_assertion=" + assertion
		return []byte(posted(address, path, "", form)), err
	}}
}

// proofRequests ask for a bound token, each with a proof of its own.
func proofRequests(name, address, path string, as credential, issuer string, key *jose.Signer) target {
	return target{name: name, address: address, good: goodProof, fresh: func() ([]byte, error) {
		proof, err := pop.NewProof(key, pop.Request{Method: "POST", URL: issuer + path, Now: time.Now()}, "")
		return []byte(posted(address, path, basic(as)+"DPoP: "+proof+"\r\n", grant)), err
	}}
}

// turns returns requests that are these, one after the other.
func turns(requests [][]byte) func([]byte) []byte {
	var n atomic.Int64
	return func(dst []byte) []byte { return append(dst, requests[int(n.Add(1))%len(requests)]...) }
}

// introspections ask about tokens, one after the other.
func introspections(name, address, path string, as credential, tokens []string) target {
	var requests [][]byte
	for _, token := range tokens {
		requests = append(requests, []byte(posted(address, path, basic(as), "token="+url.QueryEscape(token))))
	}
	return target{name: name, address: address, good: goodState, request: turns(requests)}
}

// apiRequests call an API with tokens, one after the other.
func apiRequests(name, address, path string, tokens []string) target {
	var requests [][]byte
	for _, token := range tokens {
		requests = append(requests, []byte("GET "+path+" HTTP/1.1\r\nHost: "+address+"\r\nAuthorization: Bearer "+token+"\r\n\r\n"))
	}
	return target{name: name, address: address, good: goodAPI, request: turns(requests)}
}

// peerRequests ask a token endpoint of somebody else.
func peerRequests(p peer) target {
	u, err := url.Parse(p.url)
	if err != nil {
		return target{}
	}
	form := grant
	if p.form != "" {
		form += "&" + strings.TrimPrefix(p.form, "&")
	}
	request := posted(u.Host, u.RequestURI(), basic(credential{p.id, p.secret}), form)
	return target{name: "peer", address: hostOf(p.url), good: []byte(`"access_token"`), request: constant(request)}
}
