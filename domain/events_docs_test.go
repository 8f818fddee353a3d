package domain

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/events.md lists every event, and of its data every member that its type
// writes and every one of the golden records; those that may be left out are marked.
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
		if !slices.Contains(streams(), found[2]+"-") {
			t.Errorf("%s is said to be on a stream %s-, which is none", name, found[2])
		}
		for member := range strings.SplitSeq(found[3], ", ") {
			documented[name] = append(documented[name], strings.Trim(member, "`"))
		}
		slices.Sort(documented[name])
	}
	for _, name := range Types() {
		recorded, optional := membersOf(t, name), func(member string) bool { return strings.HasSuffix(member, "?") }
		if got := unmarked(documented[name]); !slices.Equal(got, unmarked(recorded)) {
			t.Errorf("docs/events.md says of %s\n%v, the golden records have\n%v", name, documented[name], recorded)
		}
		for _, member := range slices.DeleteFunc(recorded, func(member string) bool { return !optional(member) }) {
			if !slices.Contains(documented[name], member) {
				t.Errorf("docs/events.md says that every %s has %s, and a golden record has not", name, member)
			}
		}
		if want := writtenBy(t, name); !slices.Equal(documented[name], want) {
			t.Errorf("docs/events.md says of %s\n%v, its type writes\n%v", name, documented[name], want)
		}
		if schema := catalogue[name].schema; schema != 1 {
			t.Errorf("%s is written as schema %d; docs/events.md says that all are 1", name, schema)
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

// streams are what the names of streams begin with.
func streams() (prefixes []string) {
	for _, stream := range []string{
		AgentStream(AgentID{}), OrganizationStream(OrganizationID{}), SeatsStream(OrganizationID{}), DelegationStream(DelegationID{}), PartnerStream(PartnerID{}),
		SigningKeyStream(""), LedgerStream(""), SecurityStream(""), ClaimStream(ClaimEmail, ""),
		InstanceStream,
	} {
		prefix, _, _ := strings.Cut(stream, "-")
		prefixes = append(prefixes, prefix+"-")
	}
	return prefixes
}

// writtenBy are the members that the type of an event writes.
func writtenBy(t *testing.T, name Type) (members []string) {
	t.Helper()
	for _, event := range golden {
		if event.EventType() != name {
			continue
		}
		for _, field := range reflect.VisibleFields(reflect.TypeOf(event)) {
			tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case field.Anonymous || !field.IsExported() || tag == "-":
				continue
			case tag == "":
				t.Errorf("%s: the field %s has no name of its own in JSON", name, field.Name)
			case strings.Contains(options, "omit"):
				tag += "?"
			}
			members = append(members, tag)
		}
		slices.Sort(members)
		return members
	}
	t.Errorf("%s has no golden record", name)
	return nil
}

func unmarked(members []string) []string {
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = strings.TrimSuffix(member, "?")
	}
	slices.Sort(names)
	return names
}
