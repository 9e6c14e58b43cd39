package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// deployed returns a file of deploy/, with pairs of texts in it replaced. A text that does not stand there is a mistake.
func deployed(t *testing.T, name string, replace ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%q does not stand in deploy/%s", replace[i], name)
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return text
}

// TestDeployedConfigurations has the server check the configurations that deploy/ comes with, where their files are.
func TestDeployedConfigurations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate(t, dir, "writ1")
	database := filepath.Join(dir, "database")
	if err := os.WriteFile(database, []byte("postgres://writ:x@postgres/writ?sslmode=verify-full\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tls := []string{"/run/secrets/admin.crt", filepath.Join(dir, "tls.crt"), "/run/secrets/admin.key", filepath.Join(dir, "tls.key")}
	for name, config := range map[string]struct {
		text string
		env  []string
	}{
		"compose": {deployed(t, "compose/writ.yaml", append(tls, "/run/secrets/database", database)...), nil},
		"systemd": {deployed(t, "systemd/writ.yaml"), []string{
			"WRIT_TLS_CERTIFICATE=" + filepath.Join(dir, "tls.crt"), "WRIT_TLS_KEY=" + filepath.Join(dir, "tls.key"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "writ.yaml")
			if err := os.WriteFile(file, []byte(config.text), 0o600); err != nil {
				t.Fatal(err)
			}
			p := newPlace(t, config.env...)
			p.env = slices.DeleteFunc(p.env, func(v string) bool {
				return strings.HasPrefix(v, "WRIT_LISTEN=") || strings.HasPrefix(v, "WRIT_ADMIN_LISTEN=")
			})
			if out, err := p.writ(t.Context(), t, "config", "check", "--config", file).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// A composition is as much of a Compose file as the test looks at.
type composition struct {
	Services map[string]struct {
		ReadOnly    bool              `yaml:"read_only"`
		CapDrop     []string          `yaml:"cap_drop"`
		SecurityOpt []string          `yaml:"security_opt"`
		Secrets     []string          `yaml:"secrets"`
		Volumes     []string          `yaml:"volumes"`
		Ports       []string          `yaml:"ports"`
		Image       string            `yaml:"image"`
		Environment map[string]string `yaml:"environment"`
	} `yaml:"services"`
	Networks map[string]struct {
		Internal bool `yaml:"internal"`
	} `yaml:"networks"`
	Volumes map[string]any `yaml:"volumes"`
	Secrets map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

// TestCompose: what the Compose file names is there, what it starts is locked in, and only the front is reached from outside.
func TestCompose(t *testing.T) {
	t.Parallel()
	var c composition
	if err := yaml.Unmarshal([]byte(deployed(t, "compose/compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Services) != 6 || !c.Networks["inside"].Internal {
		t.Errorf("there are %d services, and the network inside is internal: %v", len(c.Services), c.Networks["inside"].Internal)
	}
	made := deployed(t, "compose/secrets.sh")
	balanced := deployed(t, "compose/haproxy.cfg")
	for name, s := range c.Services {
		if strings.HasPrefix(name, "writ") && !strings.Contains(balanced, "server "+name+" "+name+":8080") {
			t.Errorf("haproxy.cfg does not know %s", name)
		}
		if s.Image == "writ" && (!s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.SecurityOpt) != 1) {
			t.Errorf("%s is not locked in", name)
		}
		if len(s.Ports) > 0 && name != "front" {
			t.Errorf("%s is reached from outside", name)
		}
		for _, secret := range s.Secrets {
			if c.Secrets[secret].File != "./secrets/"+secret || !strings.Contains(made, strings.TrimSuffix(strings.TrimSuffix(secret, ".crt"), ".key")) {
				t.Errorf("%s has the secret %s, which nobody makes", name, secret)
			}
		}
		for _, volume := range s.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			_, named := c.Volumes[from]
			if _, err := os.Stat(filepath.Join("../../deploy/compose", from)); !named && err != nil {
				t.Errorf("%s mounts %s, which is not there", name, from)
			}
		}
	}
}

// TestSystemd has systemd judge the unit: that it is one, and how much of the machine the service is exposed to.
func TestSystemd(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed; to run this test: apt-get install systemd")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(dir, "writ.service")
	text := deployed(t, "systemd/writ.service", "/usr/local/bin/writ", self)
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(strings.TrimSpace(string(out))) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	found := regexp.MustCompile(`Overall exposure level for writ.service: ([\d.]+)`).FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	if exposure, _ := strconv.ParseFloat(string(found[1]), 64); exposure > 2 {
		t.Errorf("exposed to %v of 10, want at most 2:\n%s", exposure, out)
	}
	for _, credential := range regexp.MustCompile(`LoadCredential=([^:]+):`).FindAllStringSubmatch(text+deployed(t, "systemd/writ.service.d/cluster.conf"), -1) {
		if use := fmt.Sprintf("=%%d/%s", credential[1]); !strings.Contains(text+deployed(t, "systemd/writ.service.d/cluster.conf"), use) {
			t.Errorf("nobody reads the credential %s", credential[1])
		}
	}
}
