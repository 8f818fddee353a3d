package esdb

import (
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// The library, gRPC and the network stand in client.go alone: everything else of
// the engine runs on whatever is behind the interface, in virtual time as well.
func TestTheLibraryIsBehindOneFile(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{".", "wire"} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			name := entry.Name()
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "client.go" {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), folder+"/"+name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imported := range file.Imports {
				for _, outside := range []string{"EventStore-Client-Go", "KurrentDB", "google.golang.org/", `"net`, `"os`, `"syscall`} {
					if strings.Contains(imported.Path.Value, outside) {
						t.Errorf("%s/%s imports %s; ask for it by wire.Conn, and let client.go answer", folder, name, imported.Path.Value)
					}
				}
			}
		}
	}
}
