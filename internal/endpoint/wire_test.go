package endpoint_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
)

// TestWire plays the scripts of testdata against a server on loopback, every case on a server of its own.
//
// A case begins with "## " and its name. A step of it is a request (request line without a version, headers, an empty
// line, a body whose lines are joined), then "-> " and the status, then what is expected, up to an empty line:
//
//	Header: value     the header has exactly this one value      !Header   it is not there
//	error CODE        the OAuth error of the body                 empty     there is no body
//	exact JSON        the body, member for member                 json JSON the body has these members; "<any>" is any value
//	claims JSON       the access token has these claims           event KIND [REASON [CLIENT]]  what the journal got, or none
//
// Templates in braces are in template_test.go. A POST has the Content-Type of a form unless it names one, or says
// "!Content-Type". The lines "issuer URL" and "clock DURATION" stand where a request would. What must hold for every
// answer, stated or not, is in invariants_test.go.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	must(t, err)
	if len(files) < 6 {
		t.Fatalf("found %d scripts", len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txt"), func(t *testing.T) {
			for name, script := range cases(t, string(text)) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					play(t, script)
				})
			}
		})
	}
}

// cases splits a script. A name that stands twice, or a case that expects nothing, would test less than it seems to.
func cases(t *testing.T, text string) map[string]string {
	all := map[string]string{}
	for _, part := range strings.Split("\n"+text, "\n## ")[1:] {
		name, script, _ := strings.Cut(part, "\n")
		if _, twice := all[name]; twice || !strings.Contains(script, "\n-> ") {
			t.Errorf("case %q stands twice or expects nothing", name)
		}
		all[name] = script
	}
	return all
}

// A step is one request of a case and the answer that is expected.
type step struct {
	method, target, body string
	headers              []string // "Name: value"
	status               int
	want                 []string
}

func play(t *testing.T, script string) {
	var changes []change
	if first, rest, _ := strings.Cut(script, "\n"); strings.HasPrefix(first, "issuer ") {
		changes = append(changes, func(o *authority.Options) { o.Issuer = strings.TrimPrefix(first, "issuer ") })
		script = rest
	}
	s := newServer(t, changes...)
	c := &conversation{server: s, tokens: map[string]string{}}
	lines := strings.Split(script, "\n")
	for len(lines) > 0 {
		line := lines[0]
		if by, found := strings.CutPrefix(line, "clock "); found {
			duration, err := time.ParseDuration(by)
			must(t, err)
			s.clock.move(duration)
		}
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "clock ") {
			lines = lines[1:]
			continue
		}
		var next step
		next, lines = c.parse(t, lines)
		before := len(s.journal.Events())
		got := c.send(t, next)
		c.expect(t, next, got)
		c.invariants(t, next, got, s.journal.Events()[before:])
		if t.Failed() {
			t.Fatalf("%s %s\nanswered %d %v\n%s", next.method, next.target, got.StatusCode, got.Header, shorten(got.body))
		}
	}
	c.control(t)
}

// parse reads one step from the top of lines.
func (c *conversation) parse(t *testing.T, lines []string) (step, []string) {
	t.Helper()
	var s step
	s.method, s.target, _ = strings.Cut(c.fill(t, lines[0]), " ")
	i, plain := 1, s.method != http.MethodPost
	for ; i < len(lines) && lines[i] != "" && !strings.HasPrefix(lines[i], "-> "); i++ {
		plain = plain || strings.HasPrefix(strings.ToLower(lines[i]), "content-type:") || lines[i] == "!Content-Type"
		if lines[i][0] != '!' {
			s.headers = append(s.headers, c.fill(t, lines[i]))
		}
	}
	if !plain {
		s.headers = append(s.headers, "Content-Type: application/x-www-form-urlencoded")
	}
	for ; i < len(lines) && !strings.HasPrefix(lines[i], "-> "); i++ {
		s.body += c.fill(t, lines[i])
	}
	if i == len(lines) {
		t.Fatalf("a step has no expected status: %q", lines[0])
	}
	var err error
	s.status, err = strconv.Atoi(lines[i][3:])
	must(t, err)
	for i++; i < len(lines) && lines[i] != ""; i++ {
		s.want = append(s.want, c.fill(t, lines[i]))
	}
	return s, lines[i:]
}

// An answer is a response whose body was read.
type answer struct {
	*http.Response
	body string
	took time.Duration
}

// send writes a request as it stands on a connection of its own: no client library is there to repair it.
func (c *conversation) send(t *testing.T, s step) answer {
	t.Helper()
	began := time.Now()
	connection, err := net.Dial("tcp", c.server.http.Listener.Addr().String())
	must(t, err)
	defer connection.Close()
	must(t, connection.SetDeadline(began.Add(20*time.Second)))
	head := fmt.Sprintf("%s %s HTTP/1.1\r\n", s.method, s.target)
	if !strings.Contains(strings.ToLower(strings.Join(s.headers, "\n")), "host:") {
		head += "Host: as.example\r\n"
	}
	if s.body != "" || s.method == http.MethodPost {
		head += "Content-Length: " + strconv.Itoa(len(s.body)) + "\r\n"
	}
	for _, header := range s.headers {
		head += header + "\r\n"
	}
	// A server that refuses early need not read the rest: an error of Write is seen in what comes back.
	go func() { _, _ = io.WriteString(connection, head+"\r\n"+s.body) }()
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: s.method})
	must(t, err)
	defer response.Body.Close()
	if response.Close { // ReadResponse takes the header away
		response.Header.Set("Connection", "close")
	}
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return answer{response, string(body), time.Since(began)}
}

// expect checks what the script states.
func (c *conversation) expect(t *testing.T, s step, got answer) {
	t.Helper()
	if got.StatusCode != s.status {
		t.Errorf("status: got %d, want %d", got.StatusCode, s.status)
		return
	}
	for _, want := range s.want {
		word, rest, _ := strings.Cut(want, " ")
		switch {
		case word == "event": // with the invariants
		case word == "empty":
			if got.body != "" {
				t.Errorf("body: got %q, want none", shorten(got.body))
			}
		case word == "error":
			matches(t, got.body, fmt.Sprintf(`{"error":%q}`, rest), false)
		case word == "json", word == "exact":
			matches(t, unnamed(got.body), rest, word == "exact")
		case word == "claims":
			matches(t, claims(t, got.body), rest, false)
		case want[0] == '!':
			if values := got.Header.Values(want[1:]); len(values) > 0 {
				t.Errorf("header %s: got %q, want none", want[1:], values)
			}
		case strings.HasSuffix(word, ":"):
			name := strings.TrimSuffix(word, ":")
			if values := got.Header.Values(name); len(values) != 1 || values[0] != rest {
				t.Errorf("header %s: got %q, want %q", name, values, rest)
			}
		default:
			t.Fatalf("%q is nothing that can be expected", want)
		}
	}
}

// matches compares JSON objects: every member of want, or, exactly, no other besides.
func matches(t *testing.T, got, want string, exactly bool) {
	t.Helper()
	var have, expected map[string]any
	must(t, json.Unmarshal([]byte(want), &expected))
	if err := json.Unmarshal([]byte(got), &have); err != nil {
		t.Errorf("got %q, which is not a JSON object: %v", shorten(got), err)
		return
	}
	for name, value := range expected {
		if found, there := have[name]; !there || value != "<any>" && !reflect.DeepEqual(found, value) {
			t.Errorf("member %s: got %v, want %v", name, found, value)
		}
	}
	if exactly && len(have) != len(expected) {
		t.Errorf("got %s, want exactly %s", shorten(got), want)
	}
}

func shorten(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}
