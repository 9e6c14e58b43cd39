package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const maxMetadataBytes = 64 << 10

// quiet returns a copy of client that follows no redirect and keeps no cookie: the issuer's documents come from where
// its metadata says, and a secret goes nowhere else.
func quiet(client *http.Client) *http.Client {
	c := http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: fetchTimeout}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    maxIntrospections,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    fetchTimeout,
		ResponseHeaderTimeout:  fetchTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}}
	if client != nil {
		c = *client
	}
	c.Jar = nil
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// fetchDocument gets a JSON document of at most limit bytes. Its errors hold the status at most, never the body: that
// may be somebody's secret, fetched on their behalf.
func fetchDocument(ctx context.Context, client *http.Client, location string, limit int) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	body, err := readAnswer(response, limit)
	return body, response.Header, err
}

// readAnswer reads and closes the body of a 200 answer.
func readAnswer(response *http.Response, limit int) ([]byte, error) {
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answered %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > limit {
		return nil, errors.New("the issuer's answer is too large")
	}
	return body, nil
}

// cacheFor returns how long an answer may be kept (RFC 9111, 5.2.2): no time if it says so, defaultMaxAge if it says
// nothing.
func cacheFor(header http.Header) time.Duration {
	age := defaultMaxAge
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return age
}
