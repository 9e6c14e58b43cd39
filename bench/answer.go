package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"time"
)

// A connection sends requests and reads answers one after the other. It is net/http's client with everything left out that
// costs time: on one core that client makes fewer requests than the limit server answers.
type connection struct {
	target  *target
	address string
	net     net.Conn // nil before the first request, and after an answer that closed it
	in      *bufio.Reader
	body    []byte
}

func (c *connection) open() (err error) {
	if c.target.tls == nil {
		c.net, err = net.Dial("tcp", c.address)
	} else {
		c.net, err = tls.Dial("tcp", c.address, c.target.tls)
	}
	if err != nil {
		return err
	}
	if c.in == nil {
		c.in = bufio.NewReaderSize(nil, 16<<10)
	}
	c.in.Reset(c.net)
	return c.net.SetDeadline(time.Now().Add(10 * time.Minute)) // once, not for each request
}

func (c *connection) close() {
	if c.net != nil {
		_ = c.net.Close() // done with it
		c.net = nil
	}
}

// exchange sends a request and returns the status and the body of the answer. The body is good until the next call.
func (c *connection) exchange(request []byte) (status int, body []byte, err error) {
	if c.net == nil {
		if err := c.open(); err != nil {
			return 0, nil, err
		}
	}
	if _, err := c.net.Write(request); err != nil {
		return 0, nil, err
	}
	head, err := c.readHead()
	if err != nil {
		return 0, nil, err
	}
	if err := c.readBody(head); err != nil {
		return 0, nil, err
	}
	if head.closes {
		c.close()
	}
	return head.status, c.body, nil
}

// A head is what must be known of an answer to read its body.
type head struct {
	status  int
	length  int
	chunked bool
	closes  bool
}

var errAnswer = errors.New("the answer is not HTTP/1.1")

func (c *connection) readHead() (h head, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return h, errAnswer
	}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, errAnswer
	}
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return h, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			return h, nil
		}
		if err := h.field(line); err != nil {
			return h, err
		}
	}
}

// field reads a line of the head. Only fields with a C or a T are looked at: most have neither.
func (h *head) field(line []byte) (err error) {
	switch line[0] | 0x20 {
	case 'c':
		if value, found := cutFold(line, "content-length:"); found {
			h.length, err = strconv.Atoi(string(value))
		} else if value, found := cutFold(line, "connection:"); found {
			h.closes = bytes.EqualFold(value, []byte("close"))
		}
	case 't':
		if value, found := cutFold(line, "transfer-encoding:"); found {
			h.chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	return err
}

func cutFold(line []byte, name string) (value []byte, found bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}

func (c *connection) readBody(h head) (err error) {
	if h.chunked {
		if c.body, err = io.ReadAll(httputil.NewChunkedReader(c.in)); err != nil {
			return err
		}
		_, err = c.in.ReadSlice('\n') // the end of the trailer, which the reader leaves
		return err
	}
	if h.length < 0 || h.length > 1<<20 {
		return errAnswer
	}
	if cap(c.body) < h.length {
		c.body = make([]byte, h.length)
	}
	c.body = c.body[:h.length]
	_, err = io.ReadFull(c.in, c.body)
	return err
}

// try makes one request and returns nil if the answer is good: a server that refuses everything is fast, and no row.
func (c *connection) try(request []byte) error {
	status, body, err := c.exchange(request)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", c.target.name, errWrong, err)
	}
	if status != 200 || !bytes.Contains(body, c.target.good) {
		return fmt.Errorf("%s: %w, %d: %.300s", c.target.name, errWrong, status, body)
	}
	return nil
}
