package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/internal/config"
)

// The tables of docs/configuration.md and .env.example are written from the settings.
func TestConfigurationIsDocumented(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]func(now string) string{
		"../../docs/configuration.md": config.Documented,
		"../../.env.example":          func(string) string { return config.Example() },
	} {
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want(string(now)), string(now)); diff != "" {
			t.Errorf("%s is not what the settings say, run go generate ./internal/config (-settings +file):\n%s", path, diff)
		}
	}
}

// The example is a configuration, as it is and with every line of it taken.
func TestTheExampleIsAConfiguration(t *testing.T) {
	t.Parallel()
	policy := t.TempDir()
	taken := strings.ReplaceAll(config.Example(), "\n#", "\n")
	for name, text := range map[string]string{"as it is": config.Example(), "all of it": taken} {
		lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, " ") }) // what was a comment
		text = strings.Replace(strings.Join(lines, "\n"), "/etc/agentidp/policy", policy, 1)
		path := filepath.Join(t.TempDir(), ".env")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(nil, path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
