package adminapi

import (
	"net/http"
	"slices"

	"github.com/writ-auth/writ/internal/registry"
)

// WhenMatching is part of a request to change an object.
type WhenMatching struct {
	IfMatch string `header:"If-Match" doc:"Change it only if it is still what it was when it had this ETag; else the answer is 412, and nothing is changed. * is any that is there" example:"\"x4Bd9QpTz0eJ2mUo7rLkVw5c\"" maxLength:"1024"`
}

// in returns the registry that heeds the header.
func (w WhenMatching) in(r *registry.Registry) *registry.Registry {
	return r.If(registry.ETags(w.IfMatch)...)
}

// UnlessMatching is part of a request to look at an object.
type UnlessMatching struct {
	IfNoneMatch string `header:"If-None-Match" doc:"Answer 304 and nothing else if it is still what it was when it had this ETag" maxLength:"1024"`
}

// tagged is a response with an object, and the ETag that stands for it.
type tagged[T any] struct {
	Status int
	ETag   string `header:"ETag" doc:"Stands for what is registered, for If-Match and If-None-Match; last uses are not part of it"`
	Body   T
}

// withTag returns an object that was changed or made.
func withTag[T any](body T, etag string, status int, err error) (*tagged[T], error) {
	if err != nil {
		return nil, err
	}
	return &tagged[T]{status, etag, body}, nil
}

// seen returns an object that was asked for.
func (u UnlessMatching) seen(etag string) int {
	if known := registry.ETags(u.IfNoneMatch); slices.Contains(known, etag) || slices.Contains(known, "W/"+etag) || slices.Contains(known, "*") {
		return http.StatusNotModified
	}
	return http.StatusOK
}
