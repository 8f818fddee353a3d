package foreign_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGeneratedClients lets openapi-generator make clients from the served
// /openapi.json, compiles them and makes calls with them.
func TestGeneratedClients(t *testing.T) {
	need(t, "npm", "mvn", "javac")
	tools := cached(t, "java", []string{"java/pom.xml"}, func(dir string) {
		prepare(t, "mvn process-resources", program(t, dir, nil, "mvn", "--batch-mode", "--quiet", "process-resources"))
	})
	n, s := installNode(t), newScene(t)
	who := []string{"FOREIGN_URL=" + s.Issuer, "FOREIGN_ID=" + s.Secret.ID, "FOREIGN_SECRET=" + s.Secret.Secret}
	generate := func(t *testing.T, generator, dir string, options ...string) {
		arguments := append([]string{"-jar", filepath.Join(tools, "openapi-generator.jar"), "generate",
			"--generator-name", generator, "--input-spec", s.Issuer + "/openapi.json", "--output", dir}, options...)
		prepare(t, "openapi-generator "+generator, program(t, tools, nil, "java", arguments...))
	}
	t.Run("typescript-fetch", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(n.dir, "generated")
		generate(t, "typescript-fetch", filepath.Join(dir, "client"))
		compiler := filepath.Join(n.dir, "node_modules", "typescript", "bin", "tsc")
		prepare(t, "tsc", program(t, dir, nil, n.binary, compiler, "--project", "."))
		runChecks(t, program(t, dir, who, n.binary, "out/call.js"))
	})
	t.Run("java native", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		generate(t, "java", dir, "--library", "native", "--additional-properties", "useSingleRequestParameter=true")
		copyFile(t, "java/Call.java", filepath.Join(dir, "Call.java"))
		path := filepath.Join(tools, "lib", "*")
		prepare(t, "javac", program(t, dir, nil, "javac", append([]string{"-nowarn", "-cp", path, "-d", "classes", "Call.java"},
			sources(t, filepath.Join(dir, "src", "main", "java"))...)...))
		runChecks(t, program(t, dir, who, "java", "-cp", "classes"+string(os.PathListSeparator)+path, "Call"))
	})
}

// sources are the Java files in a folder and below.
func sources(t *testing.T, root string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".java") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("no Java files: %v", err)
	}
	return files
}
