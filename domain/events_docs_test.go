package domain

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/events.md lists every event, and of its data every member of the golden
// records; those that a record lacks are marked.
func TestEventsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[Type][]string{}
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `([a-z_]+)-` \\| (.*?) \\| [^|]+ \\|$")
	for _, found := range row.FindAllStringSubmatch(string(page), -1) {
		name := Type(found[1])
		if documented[name] != nil {
			t.Errorf("%s is documented twice", name)
		}
		for member := range strings.SplitSeq(found[3], ", ") {
			documented[name] = append(documented[name], strings.Trim(member, "`"))
		}
		slices.Sort(documented[name])
	}
	for _, name := range Types() {
		if want := membersOf(t, name); !slices.Equal(documented[name], want) {
			t.Errorf("docs/events.md says of %s\n%v, the golden records have\n%v", name, documented[name], want)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/events.md has %s, which is no event", name)
	}
}

func membersOf(t *testing.T, name Type) (members []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", string(name)+".1.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no golden record (%v)", name, err)
	}
	records := map[string]int{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var data map[string]json.RawMessage
		if err := json.Unmarshal(content, &data); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for member := range data {
			records[member]++
		}
	}
	for member, count := range records {
		if count < len(files) {
			member += "?"
		}
		members = append(members, member)
	}
	slices.Sort(members)
	return members
}
