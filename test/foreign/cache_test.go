package foreign_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// cached gives a folder that fill has made from some files, by their contents:
// as long as these stay the same it is made once for a machine. A fill that
// fails leaves nothing behind; of two at once one wins.
func cached(t *testing.T, name string, from []string, fill func(dir string)) string {
	t.Helper()
	digest := sha256.New()
	for _, file := range from {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		digest.Write(content)
	}
	root, err := os.UserCacheDir()
	if err != nil {
		root = os.TempDir()
	}
	root = filepath.Join(root, "agentidp-test-foreign")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	final := filepath.Join(root, name+"-"+hex.EncodeToString(digest.Sum(nil)[:8]))
	if _, err := os.Stat(final); err == nil {
		return final
	}
	building, err := os.MkdirTemp(root, name+"-building-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(building)
	for _, file := range from {
		copyFile(t, file, filepath.Join(building, filepath.Base(file)))
	}
	fill(building)
	if err := os.Rename(building, final); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	return final
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
