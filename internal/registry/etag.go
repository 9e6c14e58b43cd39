package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/writ-auth/writ/internal/store"
)

// If returns the registry for one write that happens only if its object still is what it was when it had one of the ETags; see
// Changed. "*" is any object that is there. Without an ETag it is the registry itself. What is asked for and is so already
// changes nothing and goes well whatever the ETags say (RFC 9110, 13.1.1): a write that is sent again finds its own traces.
func (r *Registry) If(etags ...string) *Registry {
	if len(etags) == 0 {
		return r
	}
	conditional := *r
	conditional.etags = etags
	return &conditional
}

// unchanged is where a write inside its transaction looks at what If was told: anywhere else, another write could come between.
func (r *Registry) unchanged(kind, name, etag string) error {
	if r.etags == nil || slices.Contains(r.etags, etag) || slices.Contains(r.etags, "*") {
		return nil
	}
	return &Error{Code: Changed, Text: "the " + kind + " " + name + " is not what it was when it was looked at: look at it again, and decide again"}
}

// etagOf returns the ETag of something that operators see. It is made of nothing but what they see.
func etagOf(seen any) string {
	sum := sha256.Sum256([]byte(detail(seen)))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
}

// clientETag returns the ETag of a client from which what is over was pruned. Uses are left aside: who changes a client does
// not want to hear that it was used meanwhile. So are hashes of secrets: an ETag is in logs, and need not say what a guess
// at a secret could be checked with.
func clientETag(record store.Client) string { return etagOf(clientView(record, nil)) }

// ETags returns the texts of an If-Match or If-None-Match header (RFC 9110, 8.8.3). A weak one is none that a write could go by.
func ETags(header string) []string {
	var etags []string
	for text := range strings.SplitSeq(header, ",") {
		if text = strings.TrimSpace(text); text != "" {
			etags = append(etags, text)
		}
	}
	return etags
}
