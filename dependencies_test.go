package agentidp_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// Every direct dependency has its reason on docs/dependencies.md, and the page
// names none that is gone.
func TestEveryDependencyHasItsReason(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", source, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := modulesInTables(string(text))
	for _, required := range mod.Require {
		if required.Indirect {
			continue
		}
		if !explained[required.Mod.Path] {
			t.Errorf("docs/dependencies.md has no row for %s: say what it is for and why it is this one", required.Mod.Path)
		}
		delete(explained, required.Mod.Path)
	}
	for gone := range explained {
		t.Errorf("docs/dependencies.md explains %s, which go.mod does not require", gone)
	}
}

// modulesInTables finds the module paths in the first column of tables.
func modulesInTables(text string) map[string]bool {
	modules := make(map[string]bool)
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || !strings.Contains(cells[1], "`") {
			continue
		}
		for i, word := range strings.Split(cells[1], "`") {
			if i%2 == 1 {
				modules[word] = true
			}
		}
	}
	return modules
}
