package foreign_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// node is Node.js with the pinned libraries, and a copy of our scripts that
// finds them.
type node struct{ binary, dir string }

// installNode installs what node/package-lock.json says, Node.js itself
// included: some libraries want a newer one than the machine may have.
func installNode(t *testing.T) node {
	t.Helper()
	installed := cached(t, "node", []string{"node/package.json", "node/package-lock.json", "node/.npmrc"}, func(dir string) {
		prepare(t, "npm ci", program(t, dir, nil, "npm", "ci", "--no-progress", "--prefer-offline"))
	})
	modules := filepath.Join(installed, "node_modules")
	n := node{binary: "node", dir: t.TempDir()}
	pinned := filepath.Join(modules, "node-"+runtime.GOOS+"-"+strings.Replace(runtime.GOARCH, "amd64", "x64", 1), "bin", "node")
	if _, err := os.Stat(pinned); err == nil {
		n.binary = pinned
	}
	if err := os.CopyFS(n.dir, os.DirFS("node")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(n.dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(n.dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNodeClients runs each script of node/clients, which is named after the
// library that it is about.
func TestNodeClients(t *testing.T) {
	need(t, "npm")
	n, s := installNode(t), newScene(t)
	scripts, err := filepath.Glob(filepath.Join(n.dir, "clients", "*.mjs"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no clients: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".mjs"), func(t *testing.T) {
			t.Parallel()
			runChecks(t, program(t, n.dir, s.environ(t), n.binary, script))
		})
	}
}
