package config_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// documented is a row of a table in docs/configuration.md: default, bound, meaning.
type documented [3]string

// TestConfigurationIsDocumented holds docs/configuration.md to what config.go reads: the same variables, and for
// numbers the same default and bounds.
func TestConfigurationIsDocumented(t *testing.T) {
	t.Parallel()
	rows := documentation(t)
	read := variablesRead(t)
	want, got := slices.Sorted(maps.Keys(read)), slices.Sorted(maps.Keys(rows))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("docs/configuration.md does not list the variables of config.go: -read +documented:\n%s", diff)
	}
	for name, numbers := range read {
		row := rows[name]
		for i, number := range numbers { // default, least, most
			where := row[min(i, 1)]
			if number != "" && !slices.Contains(regexp.MustCompile(`\d+`).FindAllString(strings.ReplaceAll(where, ",", ""), -1), number) {
				t.Errorf("%s: config.go has the number %s, docs/configuration.md says %q", name, number, where)
			}
		}
		if row[2] == "" {
			t.Errorf("%s: no meaning is given", name)
		}
	}
}

func documentation(t *testing.T) map[string]documented {
	t.Helper()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]documented{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if !strings.HasPrefix(line, "| `") || len(cells) != 6 {
			continue
		}
		name := strings.Trim(cells[1], " `")
		if _, twice := rows[name]; twice {
			t.Errorf("%s is documented twice", name)
		}
		rows[name] = documented{strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3]), strings.TrimSpace(cells[4])}
	}
	return rows
}

// variablesRead finds the readers' calls in config.go, r.integer("PORT", 3000, 1, math.MaxUint16) and the like: the
// names, and of whole numbers the default and the bounds ("" where they are not constant).
func variablesRead(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	read := map[string][]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		literal, isLiteral := call.Args[0].(*ast.BasicLit)
		if !ok || !isLiteral || literal.Kind != token.STRING || method.Sel.Name == "fault" {
			return true
		}
		if receiver, ok := method.X.(*ast.Ident); !ok || receiver.Name != "r" {
			return true
		}
		name, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		read[name] = nil
		if method.Sel.Name == "integer" || method.Sel.Name == "milliseconds" {
			for _, argument := range call.Args[1:] {
				read[name] = append(read[name], constant(argument))
			}
		}
		return true
	})
	return read
}

func constant(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		return strings.ReplaceAll(e.Value, "_", "")
	case *ast.SelectorExpr:
		if e.Sel.Name == "MaxUint16" {
			return "65535"
		}
	}
	return ""
}
