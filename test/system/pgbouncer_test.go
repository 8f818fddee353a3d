package system_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// pgBouncerFiles writes what PgBouncer reads where every user can, since it refuses
// to run as root. The passwords in it are those of a database of this test alone.
func pgBouncerFiles(t *testing.T, others map[string]string, configure func(dir string) string) (ini string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agentidp-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	others["pgbouncer.ini"] = configure(dir)
	for name, content := range others {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "pgbouncer.ini")
}

func runPgBouncer(t *testing.T, ini string) {
	t.Helper()
	args := []string{"-q", ini}
	if os.Getuid() == 0 {
		args = []string{"-q", "-u", "nobody", ini}
	}
	cmd := exec.Command("pgbouncer", args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}
