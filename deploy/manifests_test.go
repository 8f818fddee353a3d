package deploy_test

import (
	"errors"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/internal/config"
)

// settings are the variables that docs/configuration.md lists, which a test of
// the configuration holds to what is read.
func settings(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` ").FindAllStringSubmatch(string(text), -1) {
		names = append(names, row[1])
	}
	if len(names) == 0 {
		t.Fatal("no settings are documented")
	}
	return names
}

// object is what of a manifest is looked at.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string
	Spec     struct {
		Ingress []struct {
			From  []any
			Ports []struct{ Port string }
		}
		Template struct {
			Spec struct {
				TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
				SecurityContext               struct {
					RunAsNonRoot        bool   `yaml:"runAsNonRoot"`
					RunAsGroup          int    `yaml:"runAsGroup"`
					FSGroup             int    `yaml:"fsGroup"`
					FSGroupChangePolicy string `yaml:"fsGroupChangePolicy"`
				} `yaml:"securityContext"`
				Volumes []struct {
					Name   string
					Secret struct {
						DefaultMode int `yaml:"defaultMode"`
					}
				}
				Containers []struct {
					Name         string
					Env          []struct{ Name, Value string }
					VolumeMounts []struct {
						Name      string
						MountPath string `yaml:"mountPath"`
					} `yaml:"volumeMounts"`
					SecurityContext struct {
						ReadOnlyRootFilesystem bool `yaml:"readOnlyRootFilesystem"`
					} `yaml:"securityContext"`
				}
			}
		}
	}
}

func manifests(t *testing.T) (objects []object) {
	t.Helper()
	file, err := os.Open("kubernetes/agentidp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for decoder := yaml.NewDecoder(file); ; {
		var o object
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
}

func TestManifestsSetWhatTheServerReads(t *testing.T) {
	known := settings(t)
	pods := 0
	for _, o := range manifests(t) {
		if o.Metadata.Name == "" || o.Metadata.Namespace != "agentidp" {
			t.Errorf("%s has the name %q in namespace %q", o.Kind, o.Metadata.Name, o.Metadata.Namespace)
		}
		names := []string{}
		for name := range o.Data {
			names = append(names, name)
		}
		for _, c := range o.Spec.Template.Spec.Containers {
			pods++
			for _, e := range c.Env {
				names = append(names, e.Name)
			}
			if !c.SecurityContext.ReadOnlyRootFilesystem || !o.Spec.Template.Spec.SecurityContext.RunAsNonRoot {
				t.Errorf("container %s of %s may write where it need not, or is root", c.Name, o.Metadata.Name)
			}
		}
		for _, name := range names {
			if !slices.Contains(known, name) {
				t.Errorf("%s %s sets %s, which nothing reads", o.Kind, o.Metadata.Name, name)
			}
		}
	}
	if pods != 2 {
		t.Errorf("%d kinds of pods, want the server and the migration", pods)
	}
}

// serverManifest is the manifest of the server's pods.
func serverManifest(t *testing.T) object {
	t.Helper()
	for _, o := range manifests(t) {
		if o.Kind == "Deployment" {
			return o
		}
	}
	t.Fatal("there is no Deployment")
	return object{}
}

// TestManifestsStartTwice: what the master key's file becomes on a volume is
// what the server accepts. How it looks at modes is tested beside it.
func TestManifestsStartTwice(t *testing.T) {
	pod := serverManifest(t).Spec.Template.Spec
	if c := pod.SecurityContext; c.FSGroup == 0 || c.FSGroup != c.RunAsGroup || c.FSGroupChangePolicy != "OnRootMismatch" {
		t.Errorf("the server runs as group %d, volumes belong to group %d (%s): the group's rights to the master key would be refused",
			c.RunAsGroup, c.FSGroup, c.FSGroupChangePolicy)
	}
	var key, checkpoints string
	for _, e := range pod.Containers[0].Env {
		switch e.Name {
		case "MASTER_KEY_FILE":
			key = path.Dir(e.Value)
		case "CHECKPOINT_FILE":
			checkpoints = path.Dir(e.Value)
		}
	}
	mounted := map[string]string{} // directory -> volume
	for _, m := range pod.Containers[0].VolumeMounts {
		mounted[m.MountPath] = m.Name
	}
	modes := map[string]int{} // volume -> mode of a Secret's files
	for _, v := range pod.Volumes {
		modes[v.Name] = v.Secret.DefaultMode
	}
	if mode := modes[mounted[key]]; mode != 0o400 {
		t.Errorf("the master key in %s has mode %#o, want that of a Secret, 0400", key, mode)
	}
	if mode, found := modes[mounted[checkpoints]]; !found || mode != 0 {
		t.Errorf("checkpoints go to %q, which is no volume to write to", checkpoints)
	}
}

// TestManifestsAskForTheIngress: a range that fits no cluster would be kept,
// and then every pod could write any address into the audit trail.
func TestManifestsAskForTheIngress(t *testing.T) {
	for _, o := range manifests(t) {
		if o.Kind != "ConfigMap" {
			continue
		}
		environ := []string{"DATABASE_URL=postgres://a:b@c/d", "REDIS_URL=redis://r:6379", "MASTER_KEY_FILE=" + t.TempDir() + "/key"}
		for name, value := range o.Data {
			environ = append(environ, name+"="+value)
		}
		_, err := config.Load(environ, "")
		var faults config.Faults
		if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Variable != "TRUSTED_PROXIES" {
			t.Errorf("the manifest as it is: %v, want the one fault of TRUSTED_PROXIES", err)
		}
		return
	}
	t.Error("there is no ConfigMap")
}

func TestManifestsKeepTheMetricsFromOtherPods(t *testing.T) {
	for _, o := range manifests(t) {
		if o.Kind != "NetworkPolicy" {
			continue
		}
		for _, rule := range o.Spec.Ingress {
			for _, p := range rule.Ports {
				if p.Port != "http" && len(rule.From) == 0 || len(rule.Ports) == 0 {
					t.Errorf("port %s is open to every pod", p.Port)
				}
			}
		}
		return
	}
	t.Error("there is no NetworkPolicy")
}

// TestManifestsGiveTheServerTimeToStop: killed before it has drained, it cuts
// requests off.
func TestManifestsGiveTheServerTimeToStop(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var needed int // milliseconds
	for _, row := range regexp.MustCompile("(?m)^\\| `SHUTDOWN_[A-Z]+_MS` \\| ([0-9,]+) ").FindAllStringSubmatch(string(text), -1) {
		ms, err := strconv.Atoi(strings.ReplaceAll(row[1], ",", ""))
		if err != nil {
			t.Fatal(err)
		}
		needed += ms
	}
	for _, o := range manifests(t) {
		if seconds := o.Data["DRAIN_SECONDS"]; seconds != "" {
			drain, err := strconv.Atoi(seconds)
			if err != nil || drain == 0 {
				t.Errorf("DRAIN_SECONDS: %s", seconds)
			}
			needed += drain * 1000
		}
	}
	if grace := serverManifest(t).Spec.Template.Spec.TerminationGracePeriodSeconds * 1000; needed == 0 || grace <= needed {
		t.Errorf("a pod has %d ms to stop, the server takes up to %d", grace, needed)
	}
}

func TestComposeSetsWhatTheServerReads(t *testing.T) {
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image       string
			Environment map[string]string
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	known := settings(t)
	cluster := 0
	for name, service := range file.Services {
		if strings.HasPrefix(name, "kurrentdb") {
			cluster++
			if seed := service.Environment["KURRENTDB_GOSSIP_SEED"]; service.Environment["KURRENTDB_NODE_HOST_ADVERTISE_AS"] != name || strings.Contains(seed, name) {
				t.Errorf("%s calls itself %q and looks for %q", name, service.Environment["KURRENTDB_NODE_HOST_ADVERTISE_AS"], seed)
			}
		}
		for setting := range service.Environment {
			if strings.HasPrefix(service.Image, "agentidp") && !slices.Contains(known, setting) {
				t.Errorf("%s sets %s, which nothing reads", name, setting)
			}
		}
	}
	if cluster != 3 {
		t.Errorf("the cluster has %d nodes, want 3", cluster)
	}
}
