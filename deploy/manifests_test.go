package deploy_test

import (
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
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
		Template struct {
			Spec struct {
				SecurityContext struct {
					RunAsNonRoot bool `yaml:"runAsNonRoot"`
				} `yaml:"securityContext"`
				Containers []struct {
					Name            string
					Env             []struct{ Name, Value string }
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
