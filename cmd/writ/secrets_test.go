package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A shell runs commands as a person does and keeps everything that they wrote.
type shell struct {
	place
	t      *testing.T
	told   []said
	wanted []string // secrets that nothing may show
}

type said struct{ command, text, arguments string }

// run runs a command, with further variables, and returns what it wrote; ok says whether it must succeed.
func (s *shell) run(ok bool, stdin string, variables []string, args ...string) string {
	s.t.Helper()
	cmd := s.writ(s.t.Context(), s.t, args...)
	cmd.Env = append(cmd.Env, variables...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	arguments, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid)) // where there is /proc
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ok != (err == nil) {
		s.t.Fatalf("writ %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	s.told = append(s.told, said{"writ " + strings.Join(args, " "), stdout.String() + stderr.String(), string(arguments)})
	return stdout.String()
}

// once takes the last command's output out of what is searched, but for the secret that it was to show.
func (s *shell) once(secret string) {
	last := &s.told[len(s.told)-1]
	last.text = strings.Replace(last.text, secret, "", 1)
	s.wanted = append(s.wanted, secret)
}

// TestCO24 is an evening of every command, against servers that log everything, and then a search for each secret in all
// that was written: on screens, into logs, into arguments of processes, into files that are not there to hold it.
func TestCO24(t *testing.T) {
	t.Parallel()
	s := &shell{place: newPlace(t, "WRIT_LOG_LEVEL=debug"), t: t}
	data := filepath.Join(s.dir, dataDirectory)
	log, stop := start(t, s.writ(t.Context(), t, "serve"))
	await(t, "token", func() error { _, err := operatorToken(data); return err })

	operator, err := readOperator(filepath.Join(data, operatorFile))
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(filepath.Join(data, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.wanted = append(s.wanted, operator.ClientSecret, strings.TrimSpace(string(root)))
	s.registry()
	s.keyed(operator.Issuer)
	variables := s.flow(operator.Issuer)
	s.refused(variables)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.operate()

	s.told = append(s.told, said{command: "writ serve", text: log.String()})
	for _, secret := range s.wanted {
		if len(secret) < 20 {
			t.Fatalf("%q is no secret worth looking for", secret)
		}
		for _, told := range s.told {
			if strings.Contains(told.text, secret) || strings.Contains(told.arguments, secret) {
				t.Errorf("%s shows %s…", told.command, secret[:12])
			}
		}
	}
	s.search(data)
}

func (s *shell) registry() {
	const api = "https://api.example.com"
	s.run(true, "", nil, "resource", "create", api, "--scope", "orders:read")
	s.run(true, "", nil, "resource", "create", "https://opaque.example.com", "--scope", "orders:read", "--format", "opaque")
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(s.run(true, "", nil, "client", "create", "json", "--resource", api, "--scope", "orders:read", "--json")), &made); err != nil {
		s.t.Fatal(err)
	}
	s.once(made.Secret)
	s.once(regexp.MustCompile(`writ_cs_\S+`).FindString(s.run(true, "", nil, "client", "create", "text", "--resource", api, "--scope", "orders:read")))
	s.run(true, "", nil, "client", "create", "billing", "--resource", api, "--scope", "orders:read", "--env", "billing.env")
	s.run(true, "", nil, "client", "create", "opaque", "--resource", "https://opaque.example.com", "--scope", "orders:read", "--env", "opaque.env", "--json")
	s.run(true, "", nil, "role", "create", "clerk", "--grant", api+"=orders:read")
	for _, command := range []string{
		"client list", "client list --json", "client show billing", "client show billing --json", "client suspend text", "client resume text --json",
		"client delete text", "resource list --json", "resource show " + api, "role list", "role show clerk --json", "role delete clerk",
		"key list", "key list --json", "key rotate --now --json", "key rotate --algorithm XC20P --now",
	} {
		s.run(true, "", nil, strings.Fields(command)...)
	}
}

// keyed does with a private key whatever can be done, and then more: it is given where a public one belongs, twice.
func (s *shell) keyed(issuer string) {
	const api = "https://api.example.com"
	s.run(true, "", nil, "key", "generate", "--out", "keyed.key", "--public-out", "keyed.pub")
	s.run(true, "", nil, "key", "generate", "--out", "dpop.key", "--json")
	s.run(true, "", nil, "key", "generate", "--out", "own.key", "--certificate", "own.crt", "--subject", "own")
	s.run(false, "", nil, "key", "generate", "--out", "keyed.key")
	for _, name := range []string{"keyed.key", "dpop.key"} {
		s.wanted = append(s.wanted, privateOf(s.t, filepath.Join(s.dir, name)))
	}
	s.run(true, "", nil, "client", "create", "keyed", "--resource", api, "--scope", "orders:read", "--public-key", "keyed.pub", "--env", "keyed.env")
	s.run(false, "", nil, "client", "create", "private", "--resource", api, "--scope", "orders:read", "--public-key", "keyed.key")
	s.run(false, "", nil, "client", "key", "add", "keyed", "--public-key", "dpop.key")
	for _, command := range []string{
		"client show keyed", "client show keyed --json", "client key list keyed", "client key add keyed --certificate own.crt",
		"client update keyed --signing-alg ES256 --json",
	} {
		s.run(true, "", nil, strings.Fields(command)...)
	}
	values, err := readEnvironment(filepath.Join(s.dir, "keyed.env"))
	if err != nil {
		s.t.Fatal(err)
	}
	var variables []string
	for name, value := range values {
		variables = append(variables, name+"="+value)
	}
	token := strings.TrimSpace(s.run(true, "", variables, "token", "--dpop-key", "dpop.key"))
	s.once(token)
	s.run(true, token, variables, "token", "inspect")
	s.run(false, "", variables, "token", "--private-key", "dpop.key")
	s.run(false, "", variables, "token", "--private-key", "own.crt")
	s.run(false, "", variables, "curl", "-v", "--dpop", issuer+"/nothing")
	s.run(true, "", nil, "demo", "--fapi2")
}

// privateOf returns what is private in a file with a JWK.
func privateOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var key struct {
		D string `json:"d"`
	}
	if err := json.Unmarshal(text, &key); err != nil || key.D == "" {
		t.Fatalf("%s: %v", path, err)
	}
	return key.D
}

// flow gets tokens of both kinds and uses them.
func (s *shell) flow(issuer string) (variables []string) {
	for _, name := range []string{"opaque.env", "billing.env"} {
		values, err := readEnvironment(filepath.Join(s.dir, name))
		if err != nil {
			s.t.Fatal(err)
		}
		s.wanted = append(s.wanted, values["WRIT_CLIENT_SECRET"])
		variables = nil
		for name, value := range values {
			variables = append(variables, name+"="+value)
		}
		token := strings.TrimSpace(s.run(true, "", variables, "token"))
		s.once(token)
		s.run(true, token, variables, "token", "inspect")
		s.run(true, token, variables, "token", "inspect", "--json")
		s.run(false, "", variables, "curl", "-v", "-i", issuer+"/nothing")
	}
	return variables
}

// refused makes mistakes with secrets in hand.
func (s *shell) refused(variables []string) {
	wrong := "writ_cs_Canary7Canary7Canary7Canary7Canary7Canary7Canary7Canary"
	s.wanted = append(s.wanted, wrong)
	if err := os.WriteFile(filepath.Join(s.dir, "secret"), []byte(wrong+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	with := func(more ...string) []string { return append(append([]string{}, variables...), more...) }
	s.run(false, "", with("WRIT_CLIENT_SECRET="+wrong), "token")
	s.run(false, "", with("WRIT_CLIENT_SECRET=", "WRIT_CLIENT_SECRET_FILE=secret"), "token")
	s.run(false, "", with("WRIT_CLIENT_SECRET_FILE=secret"), "token")
	s.run(false, "", with("WRIT_CLIENT_SECRET="+wrong), "curl", "-v", "http://127.0.0.1:1/")
	s.run(false, "", with("WRIT_ISSUER=http://127.0.0.1:1"), "token")
	s.run(false, wrong, nil, "token", "inspect")
	s.run(false, "", nil, "client", "list", "--operator", "secret")
	s.run(false, "", nil, "config", "check", "--config", "secret")
	if err := os.WriteFile(filepath.Join(s.dir, "database"), []byte("postgres://writ:"+wrong+"@db.example.com:x/writ"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.run(false, "", []string{"WRIT_DATABASE_FILE=database"}, "config", "check")
	s.run(false, "", []string{"WRIT_DATABASE=postgres://writ:" + wrong + "@127.0.0.1:1/writ"}, "serve")
	s.run(false, "", nil, "client", "create", "late", "--resource", "https://api.example.com", "--scope", "orders:read", "--env", "no/such/directory/env")
}

// operate is what is done while no server runs.
func (s *shell) operate() {
	elsewhere := []string{"WRIT_LISTEN=", "WRIT_ADMIN_LISTEN="}
	s.run(true, "", elsewhere, "init")
	var made struct {
		Secret string `json:"operator_secret"`
	}
	if err := json.Unmarshal([]byte(s.run(true, "", elsewhere, "init", "--new-operator", "--json")), &made); err != nil {
		s.t.Fatal(err)
	}
	s.once(made.Secret)
	s.run(true, "", nil, "migrate", "--status")
	s.run(true, "", nil, "demo")
}

// search looks into all files that were left, but for those that are there to hold a secret.
func (s *shell) search(data string) {
	holds := map[string]bool{"billing.env": true, "opaque.env": true, "secret": true, "database": true, "keyed.key": true, "dpop.key": true, "operator.json": true, "root.key": true}
	found := 0
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || holds[entry.Name()] {
			return err
		}
		found++
		text, err := os.ReadFile(path)
		for _, secret := range s.wanted {
			if bytes.Contains(text, []byte(secret)) {
				s.t.Errorf("%s holds %s…", path, secret[:12])
			}
		}
		return err
	})
	if err != nil || found < 2 {
		s.t.Errorf("in %s there are %d files to look into: %v", data, found, err)
	}
}

// TestNoSecretArguments holds the rule that credentials reach commands by environment or file: no flag takes one. A flag
// about a key names a file.
func TestNoSecretArguments(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`secret|password|credential|token$|assertion|key$`)
	walk(newRoot(nil), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if kind, _ := pflag.UnquoteUsage(flag); forbidden.MatchString(flag.Name) && kind != "FILE" && flag.Value.Type() != "bool" {
				t.Errorf("%s --%s takes a secret for everybody to see in the list of processes", cmd.CommandPath(), flag.Name)
			}
		})
	})
}
