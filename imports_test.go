// Package agentidp_test holds what is true of the module as a whole.
package agentidp_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sentryagent/agentidp"

// direction is the plan of the house as a table: which folders of ours the
// code in a folder may import. Packages below a folder count as the folder,
// and may always import each other; what is listed with a deeper path has a
// rule of its own. Test files may import anything.
var direction = map[string][]string{
	"domain":     {},
	"eventstore": {"internal/pg", "internal/wait"},
	"migrations": {"internal/pg", "internal/wait"},

	"follow":                 {"eventstore", "domain", "internal/lease", "internal/pg", "internal/wait"},
	"ledger":                 {"ledger/revocation", "follow", "eventstore", "domain", "internal/wait"},
	"ledger/revocation":      {"follow", "eventstore", "domain", "internal/wait"},
	"ledger/ledgertest":      {"eventstore", "domain"},
	"projections":            {"follow", "eventstore", "domain", "internal/lease", "internal/pg", "internal/wait"},
	"projections/readmodels": {"projections", "follow", "eventstore", "domain", "internal/pg"}, // the engine knows no model

	"reactors": {"ledger", "follow", "eventstore", "domain", "internal/lease", "internal/wait"},

	"tokens": {"domain", "internal/keyring", "internal/strictjson"},
	"api":    {"api", "tokens", "ledger", "projections", "replay/verify", "replay/history", "domain", "internal"},

	// Below the rooms of the API.
	"api/router":      {"ledger", "projections", "domain", "internal/pg"},
	"api/openapi":     {"api/router", "domain", "internal/strictjson"},
	"api/timestamp":   {},
	"api/gen":         {"api/timestamp"},
	"api/wire":        {"api/gen", "api/timestamp", "projections", "domain"},
	"api/policy":      {"domain"},
	"api/limits":      {"internal"},
	"api/access":      {"api/router", "api/policy", "tokens", "ledger", "projections", "domain"},
	"api/quota":       {"api/router", "api/access", "api/limits", "ledger", "projections", "domain"},
	"api/idempotency": {"api/router", "api/access", "ledger", "domain"},
	"api/consistency": {"api/router", "ledger", "projections", "domain"},
	"api/turns":       {"api/router", "api/access", "replay/verify", "domain"},
	// The rooms: none knows another.
	"api/registry":   room("api/quota", "api/idempotency", "api/consistency"),
	"api/did":        room("api/idempotency", "api/consistency", "tokens"),
	"api/delegation": room("api/idempotency", "tokens", "internal/keyring"),
	"api/federation": room("api/idempotency", "tokens"),
	"api/audit":      room("api/turns", "replay/verify", "replay/history"),
	"api/ledgerlog":  room("api/consistency"),
	"api/compliance": room("api/turns", "replay/verify"),
	"api/health":     room("api/limits"),
	"api/discovery":  room(),
	"api/oauth":      room("api/oauth/grants", "api/oauth/clientauth", "api/quota", "tokens"),

	// Below the room of OAuth: each step of a token request knows those after it.
	"api/oauth/grants":     {"api/oauth/clientauth", "api/router", "api/access", "tokens", "internal/keyring", "ledger", "domain"},
	"api/oauth/clientauth": {"api/router", "api/access", "api/quota", "api/limits", "tokens", "internal/keyring", "ledger", "domain"},

	"replay":            {}, // the map of its rooms
	"replay/verify":     {"projections", "eventstore", "domain", "internal/ordered"},
	"replay/history":    {"projections", "eventstore", "domain"},
	"replay/bundle":     {"replay/verify", "replay/history", "projections", "eventstore", "domain", "internal/ordered"},
	"replay/move":       {"projections", "eventstore", "internal/wait"},
	"replay/replaytest": {"replay/verify", "projections", "eventstore", "domain", "migrations", "internal/pgtest"},

	// Where it is all put together.
	"server":            {"server/stores", "server/keys", "api", "domain", "eventstore", "follow", "internal", "ledger", "migrations", "projections", "reactors", "replay", "tokens"},
	"server/keys":       {"domain", "follow", "internal", "ledger"},
	"server/stores":     {"domain", "eventstore", "internal", "migrations", "projections", "replay/verify"},
	"server/upkeep":     {"server/stores", "server/keys", "api", "domain", "eventstore", "internal", "ledger", "migrations", "projections", "replay"},
	"server/servertest": {"server", "server/keys", "eventstore", "internal", "migrations"},
	"cmd":               {"sdk", "server", "api", "domain", "eventstore", "internal", "ledger", "migrations", "projections", "replay"},

	"sdk": {}, // for programs that are not ours: it knows the API and nothing behind it

	"tools": everything, // no part of the product
	"test":  everything, // nor this: it attacks the whole of it, and measures it

	"internal":            {}, // has no meaning to the field, so it knows nothing of it
	"internal/pgtest":     {"internal", "migrations"},
	"internal/keyring":    {},
	"internal/lease":      {"internal/pg"}, // who of several processes may: nothing of the field in it
	"internal/pg":         {},
	"internal/ordered":    {},
	"internal/outbound":   {},
	"internal/strictjson": {},
	"internal/wait":       {},
}

var everything = []string{"*"}

// room is what a room of the API may import: what all of them need, and more.
func room(more ...string) []string {
	return append([]string{"api/router", "api/access", "api/wire", "api/gen", "api/timestamp", "ledger", "projections", "domain"}, more...)
}

// domainMayUse is the world as far as the domain sees it: nothing that does
// I/O, reads a clock or makes a random number.
var domainMayUse = []string{
	"bytes", "cmp", "crypto/sha256", "crypto/subtle", "encoding/base64", "encoding/hex", "encoding/json", "errors", "fmt", "iter", "maps",
	"math", "net/mail", "net/url", "reflect", "regexp", "slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8",
	"github.com/google/uuid", "golang.org/x/net/idna", "golang.org/x/text/cases", "golang.org/x/text/unicode/norm",
}

// domainMayNotCall are the impure functions of packages that it may import.
var domainMayNotCall = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "LoadLocation"},
	"uuid": {"New", "NewString", "NewRandom", "NewRandomFromReader", "NewUUID", "NewV6", "NewV7", "NewV7FromReader", "NewDCEGroup", "NewDCEPerson", "NewDCESecurity"},
}

// aPackage is what `go list` says of one of our packages.
type aPackage struct {
	ImportPath string
	Dir        string
	Doc        string // the first sentence of the package comment
	GoFiles    []string
	Imports    []string // of its code, tests left out
}

// folder is the package's path inside the module.
func (p aPackage) folder() string { return inModule(p.ImportPath) }

func inModule(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func isOurs(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

func packages(t *testing.T) []aPackage {
	t.Helper()
	list := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "./...")
	var complaints strings.Builder
	list.Stderr = &complaints
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", list, err, complaints.String())
	}
	var all []aPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p aPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", list, err)
		}
		if len(p.GoFiles) > 0 { // else it is made of tests alone
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s found no packages", list)
	}
	return all
}

// rule finds the row of the table for a folder: its own or the nearest above.
func rule(folder string) (row string, found bool) {
	for row = folder; row != "."; row = path.Dir(row) {
		if _, found = direction[row]; found {
			return row, true
		}
	}
	return "", false
}

func mayImport(from, to string) bool {
	row, _ := rule(from)
	target, found := rule(to)
	if !found || row == target || slices.Contains(direction[row], "*") {
		return true
	}
	for allowed := target; allowed != "."; allowed = path.Dir(allowed) {
		if slices.Contains(direction[row], allowed) {
			return true
		}
	}
	return strings.HasPrefix(row, "internal") && strings.HasPrefix(target, "internal")
}

func TestImportsRunOneWay(t *testing.T) {
	for _, p := range packages(t) {
		from := p.folder()
		row, found := rule(from)
		if !found && p.ImportPath != module {
			t.Errorf("the folder %s is new here: say in imports_test.go (direction) which of our packages it may import", from)
			continue
		}
		for _, imported := range p.Imports {
			if to := inModule(imported); isOurs(imported) && !mayImport(from, to) {
				t.Errorf("%s imports %s, which is against the direction of imports: %s may only import %s.\n"+
					"Move the code to where it may know what it needs, or pass it in from above (cmd puts the parts together).",
					from, to, row, orNothing(direction[row]))
			}
		}
	}
}

// A package of the API without a row of its own would have that of the API, which
// may import all of them.
func TestEveryRoomOfTheAPIHasARow(t *testing.T) {
	for _, p := range packages(t) {
		if row, _ := rule(p.folder()); row == "api" && p.folder() != "api" {
			t.Errorf("the folder %s is new here: say in imports_test.go (direction) which of our packages it may import", p.folder())
		}
	}
}

func orNothing(folders []string) string {
	if len(folders) == 0 {
		return "nothing of ours"
	}
	return strings.Join(folders, ", ")
}

func TestDomainIsPure(t *testing.T) {
	for _, p := range packages(t) {
		if row, _ := rule(p.folder()); row != "domain" {
			continue
		}
		for _, imported := range p.Imports {
			if !isOurs(imported) && !slices.Contains(domainMayUse, imported) {
				t.Errorf("%s imports %s. The domain only thinks: time, ids and verifiers of secrets come to it inside commands, so that "+
					"every decision can be made again.\nIf %s does no I/O, reads no clock and makes no random number, add it to domainMayUse in imports_test.go.",
					p.folder(), imported, imported)
			}
		}
		for _, name := range p.GoFiles {
			for _, call := range impureUses(t, filepath.Join(p.Dir, name)) {
				t.Errorf("%s: the domain reads no clock and makes no random number; take the value from the command instead", call)
			}
		}
	}
}

// impureUses finds what domainMayNotCall lists in one file.
func impureUses(t *testing.T, file string) (uses []string) {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{} // what a package is called in this file, and what it really is
	for _, spec := range parsed.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		names[path.Base(importPath)] = path.Base(importPath)
		if spec.Name != nil {
			names[spec.Name.Name] = path.Base(importPath)
			if spec.Name.Name == "." || spec.Name.Name == "_" {
				uses = append(uses, files.Position(spec.Pos()).String()+": import "+spec.Name.Name+" "+importPath)
			}
		}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := selector.X.(*ast.Ident); ok && slices.Contains(domainMayNotCall[names[pkg.Name]], selector.Sel.Name) {
			uses = append(uses, files.Position(selector.Pos()).String()+": "+pkg.Name+"."+selector.Sel.Name)
		}
		return true
	})
	return uses
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment: say in its doc.go what it is, what it promises and where to start", p.ImportPath)
		}
	}
}

// Programs are installed and services started by cmd/agentidp-dev and for tests alone.
func TestTheProductInstallsNothing(t *testing.T) {
	for _, path := range dependencies(t, "./cmd/agentidp") {
		for _, folder := range []string{"internal/devservices", "internal/pgtest", "server/servertest", "cmd/agentidp-dev", "test"} {
			if folder == inModule(path) || strings.HasPrefix(inModule(path), folder+"/") {
				t.Errorf("cmd/agentidp depends on %s: the product installs nothing, starts nothing but itself and holds no tests", inModule(path))
			}
		}
	}
}

// The image is built of what .dockerignore lets through, and of nothing else.
func TestTheImageGetsWhatItIsBuiltOf(t *testing.T) {
	text, err := os.ReadFile(".dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, path := range dependencies(t, "./cmd/agentidp") {
		if folder, _, _ := strings.Cut(inModule(path), "/"); isOurs(path) && !slices.Contains(lines, "!"+folder) {
			t.Errorf(".dockerignore keeps %s from the image's builder: add !%s", inModule(path), folder)
		}
	}
}

// dependencies are all packages that one is built of.
func dependencies(t *testing.T, of string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", of).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", of, err)
	}
	return strings.Fields(string(out))
}

// The test of the tests: a table that allows everything would pass as well.
func TestTheTableForbids(t *testing.T) {
	for _, test := range []struct {
		from, to string
		may      bool
	}{
		{"cmd/agentidp", "eventstore/postgres", true},
		{"cmd/agentidp", "test/chaos", false},
		{"test/chaos", "ledger", true},
		{"api", "ledger", true},
		{"api", "tokens", true},
		{"tokens", "ledger", false},
		{"api/policy", "domain", true},
		{"api", "internal/keyring", true},
		{"api", "eventstore", false},
		{"api", "api/audit", true},
		{"api/audit", "api/turns", true},
		{"api/audit", "projections/readmodels", true},
		{"api/audit", "api/registry", false},
		{"api/oauth", "api/oauth/grants", true},
		{"api/oauth/grants", "api/oauth/clientauth", true},
		{"api/oauth/clientauth", "api/oauth/grants", false},
		{"api/oauth", "api/delegation", false},
		{"api/federation", "api/registry", false},
		{"api/audit", "api", false},
		{"api/router", "api/access", false},
		{"api/access", "api/quota", false},
		{"api", "server", false},
		{"server", "api", true},
		{"server", "server/servertest", false},
		{"server", "server/stores", true},
		{"server", "server/upkeep", false},
		{"server/stores", "server", false},
		{"cmd/agentidp", "server/upkeep", true},
		{"server/servertest", "server", true},
		{"sdk/go", "api/gen", false},
		{"ledger", "eventstore/memory", true},
		{"ledger", "api", false},
		{"ledger", "projections", false},
		{"ledger/revocation", "ledger", false},
		{"ledger/revocation", "projections", false},
		{"domain", "eventstore", false},
		{"domain", "internal/keyring", false},
		{"eventstore", "domain", false},
		{"eventstore/postgres", "eventstore", true},
		{"internal/keyring", "domain", false},
		{"internal/keyring", "internal/config", true},
		{"internal/pgtest", "migrations", true},
		{"test/bench", "server", true},
		{"projections/transparency", "ledger", false},
		{"projections/readmodels", "projections", true},
		{"projections", "projections/readmodels", false},
		{"projections", "internal/lease", true},
		{"projections", "internal/keyring", false},
		{"reactors/jobs", "internal/lease", true},
		{"reactors/jobs", "replay/verify", false},
		{"api", "replay/verify", true},
		{"api", "replay/bundle", false},
		{"replay/bundle", "replay/verify", true},
		{"replay/verify", "replay/bundle", false},
		{"replay/history", "replay/verify", false},
		{"replay/move", "replay/verify", false},
	} {
		if got := mayImport(test.from, test.to); got != test.may {
			t.Errorf("%s may import %s: %v, want %v", test.from, test.to, got, test.may)
		}
	}
}
