package keyring_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/sentryagent/agentidp/internal/keyring"
)

func TestCheckFindsWhatIsWrongWithTheKeys(t *testing.T) {
	t.Parallel()
	const harm = `UPDATE signing_keys SET sealed_private = set_byte(sealed_private, 40, get_byte(sealed_private, 40) # 1)`
	for name, test := range map[string]struct {
		harm func(t *testing.T, file string) (statement string)
		want error
	}{
		"nothing": {func(*testing.T, string) string { return `` }, nil},
		"the file is gone": {func(t *testing.T, file string) string {
			must(t, os.Remove(file))
			return ``
		}, fs.ErrNotExist},
		"others may read the file": {func(t *testing.T, file string) string {
			must(t, os.Chmod(file, 0o644))
			return ``
		}, keyring.ErrMasterKeyFile},
		"the file is another": {func(t *testing.T, file string) string {
			must(t, os.Remove(file))
			_, err := keyring.LoadOrCreateMasterKey(file)
			must(t, err)
			return ``
		}, keyring.ErrWrongMasterKey},
		"a key was altered": {func(*testing.T, string) string { return harm }, keyring.ErrTampered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, superuser := database(t)
			file := filepath.Join(t.TempDir(), "master.key")
			k := open(t, pool, file)
			if _, err := superuser.Exec(t.Context(), test.harm(t, file)); err != nil {
				t.Fatal(err)
			}
			fault, err := k.Check(t.Context(), pool, file)
			if err != nil || !errors.Is(fault, test.want) || (fault == nil) != (test.want == nil) {
				t.Errorf("found %v, error %v; want %v and none", fault, err, test.want)
			}
		})
	}
}

func TestCheckCannotLookWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	pool, _ := database(t)
	file := filepath.Join(t.TempDir(), "master.key")
	k := open(t, pool, file)
	pool.Close()
	if fault, err := k.Check(t.Context(), pool, file); fault != nil || err == nil {
		t.Errorf("found %v, error %v; want an error and no fault", fault, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
