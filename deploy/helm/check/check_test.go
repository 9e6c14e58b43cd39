package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chartPath = "../writ"

// values are the least that a user gives.
func values(more map[string]any) map[string]any {
	all := map[string]any{"issuer": "https://as.example.com", "existingSecret": "writ-shared", "adminTLSSecret": "writ-admin", "tlsSecret": "writ-tls"}
	for name, value := range more {
		all[name] = value
	}
	return all
}

// TestChartLints is helm lint --strict.
func TestChartLints(t *testing.T) {
	result := lint.AllWithKubeVersion(chartPath, values(nil), "default", nil)
	for _, message := range result.Messages {
		if message.Severity >= support.WarningSev {
			t.Error(message)
		}
	}
}

// render is helm template: the documents by kind and name.
func render(t *testing.T, given map[string]any) (map[string]string, error) {
	t.Helper()
	c, err := loader.Load(chartPath)
	if err != nil {
		t.Fatal(err)
	}
	out, err := rendered(c, given)
	if err != nil {
		return nil, err
	}
	documents := map[string]string{}
	for _, text := range out {
		for _, document := range strings.Split(text, "\n---\n") {
			var head struct {
				Kind     string
				Metadata struct{ Name string }
			}
			if err := yaml.Unmarshal([]byte(document), &head); err != nil {
				t.Fatalf("%v:\n%s", err, document)
			}
			if head.Kind != "" {
				documents[head.Kind+"/"+head.Metadata.Name] = document
			}
		}
	}
	return documents, nil
}

func rendered(c *chart.Chart, given map[string]any) (map[string]string, error) {
	if err := chartutil.ValidateAgainstSchema(c, mustCoalesce(c, given)); err != nil {
		return nil, err
	}
	all, err := chartutil.ToRenderValues(c, given, chartutil.ReleaseOptions{Name: "writ", Namespace: "default"}, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

func mustCoalesce(c *chart.Chart, given map[string]any) map[string]any {
	all, err := chartutil.CoalesceValues(c, given)
	if err != nil {
		panic(err)
	}
	return all
}

func TestChartMakesWhatKubernetesKnows(t *testing.T) {
	documents, err := render(t, values(map[string]any{"serviceMonitor": map[string]any{"enabled": true}}))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]any{
		"StatefulSet/writ": &apps.StatefulSet{}, "ConfigMap/writ": &core.ConfigMap{}, "Service/writ": &core.Service{}, "Service/writ-admin": &core.Service{},
		"PodDisruptionBudget/writ": &policy.PodDisruptionBudget{}, "NetworkPolicy/writ": &networking.NetworkPolicy{},
	}
	for name, into := range known {
		if err := yaml.UnmarshalStrict([]byte(documents[name]), into); err != nil || documents[name] == "" {
			t.Errorf("%s: %v\n%s", name, err, documents[name])
		}
		delete(documents, name)
	}
	if _, found := documents["ServiceMonitor/writ"]; !found || len(documents) != 1 {
		t.Errorf("besides, there is %v", documents)
	}
	hardened(t, known["StatefulSet/writ"].(*apps.StatefulSet))
}

func hardened(t *testing.T, set *apps.StatefulSet) {
	t.Helper()
	pod, container := set.Spec.Template.Spec, set.Spec.Template.Spec.Containers[0]
	security := container.SecurityContext
	for what, holds := range map[string]bool{
		"not root":            *pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser != 0,
		"seccomp":             pod.SecurityContext.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
		"read-only":           *security.ReadOnlyRootFilesystem,
		"no escalation":       !*security.AllowPrivilegeEscalation,
		"no capabilities":     slices.Equal(security.Capabilities.Drop, []core.Capability{"ALL"}) && len(security.Capabilities.Add) == 0,
		"no account's token":  !*pod.AutomountServiceAccountToken,
		"ready by /readyz":    container.ReadinessProbe.HTTPGet.Path == "/readyz",
		"alive by /healthz":   container.LivenessProbe.HTTPGet.Path == "/healthz",
		"time to drain":       *pod.TerminationGracePeriodSeconds > container.Lifecycle.PreStop.Sleep.Seconds+10,
		"a disk that remains": len(set.Spec.VolumeClaimTemplates) == 1,
		"no secret in it":     len(container.EnvFrom) == 0,
	} {
		if !holds {
			t.Errorf("the container is not: %s", what)
		}
	}
}

// TestChartRefuses: what is missing is said by helm install, and not by a server that does not start.
func TestChartRefuses(t *testing.T) {
	for name, change := range map[string]map[string]any{
		"no issuer": {"issuer": ""}, "issuer without TLS": {"issuer": "http://as.example.com"}, "no secret": {"existingSecret": ""},
		"nobody ends TLS": {"tlsSecret": ""}, "a misspelt value": {"replica": 2},
	} {
		if _, err := render(t, values(change)); err == nil {
			t.Errorf("%s: it renders", name)
		}
	}
}

// TestChartConfiguration has the server check what the chart writes for it.
func TestChartConfiguration(t *testing.T) {
	dir := t.TempDir()
	writ := filepath.Join(dir, "writ")
	build := exec.Command("go", "build", "-o", writ, "./cmd/writ")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, change := range map[string]map[string]any{
		"TLS in the pod":      nil,
		"TLS at the ingress":  {"tlsSecret": "", "plainHTTPBehind": []any{"10.42.0.0/16"}},
		"something else, too": {"config": map[string]any{"tokens": map[string]any{"ttl": "2m"}, "profile": "fapi2"}},
	} {
		documents, err := render(t, values(change))
		if err != nil {
			t.Fatal(err)
		}
		var config core.ConfigMap
		if err := yaml.Unmarshal([]byte(documents["ConfigMap/writ"]), &config); err != nil {
			t.Fatal(err)
		}
		mounted := filepath.Join(t.TempDir(), "run")
		secrets(t, mounted)
		file := filepath.Join(dir, "writ.yaml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(config.Data["writ.yaml"], "/run/writ", mounted)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(writ, "config", "check", "--config", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s\n%s", name, err, out, config.Data["writ.yaml"])
		}
	}
}

// secrets puts there what Kubernetes mounts.
func secrets(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"writ"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string]string{
		"shared/database": "postgres://writ:x@db.example/writ?sslmode=verify-full\n", "shared/root.key": "writ_rk_" + strings.Repeat("A", 43) + "\n",
		"admin/tls.crt": string(certificate), "tls/tls.crt": string(certificate),
		"admin/tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"tls/tls.key":   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o440); err != nil {
			t.Fatal(err)
		}
	}
}
