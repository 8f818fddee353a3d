package ledgertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sentryagent/agentidp/domain"
)

// Golden are the facts that the domain keeps of an event type, in a directory of
// its tests.
func Golden(t testing.TB, directory string, name domain.Type) map[string]domain.Event {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory, string(name)+".1.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no golden record (%v)", name, err)
	}
	records := make(map[string]domain.Event)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if records[filepath.Base(file)], err = domain.Decode(name, 1, data); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return records
}
