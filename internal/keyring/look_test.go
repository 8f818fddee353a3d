package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/keyring"
)

// looker is what looks at the keys again, or fails to.
type looker struct {
	again, useless time.Duration
	look           func() error
	looks          int
}

func (l *looker) Look(context.Context, time.Time) error {
	l.looks++
	return l.look()
}

func (l *looker) Limits() (again, useless time.Duration) { return l.again, l.useless }

func TestAKeyOfAnotherServerIsLookedForBeforeItIsRefused(t *testing.T) {
	t.Parallel()
	pool, _ := database(t)
	file := filepath.Join(t.TempDir(), "master.key")
	k, other := open(t, pool, file), open(t, pool, file)
	key, err := keyring.Generate(keyring.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Store(t.Context(), pool, key); err != nil {
		t.Fatal(err)
	}
	away := errors.New("away")
	l := &looker{again: time.Hour, useless: time.Hour, look: func() error { return away }}
	k.Keep(l)
	if _, _, ok, err := k.Find(t.Context(), key.ID()); ok || !errors.Is(err, keyring.ErrStale) || !errors.Is(err, away) {
		t.Errorf("while nobody can look: %v, %v; want ErrStale", ok, err)
	}
	l.look = func() error {
		stored, err := keyring.Stored(t.Context(), pool)
		return errors.Join(err, k.Use(stored, map[string]keyring.State{key.ID(): keyring.Current}, time.Now()))
	}
	if _, alg, ok, err := k.Find(t.Context(), key.ID()); !ok || err != nil || alg != keyring.ES256 {
		t.Errorf("the other's key: %q, %v, %v", alg, ok, err)
	}
	looks := l.looks
	for _, kid := range []string{key.ID(), "", "../../etc/passwd", "theirs"} {
		if _, _, _, err := k.Find(t.Context(), kid); err != nil {
			t.Error(err)
		}
	}
	if l.looks != looks {
		t.Errorf("%d looks for keys that are known, or can be none", l.looks-looks)
	}
}

// A server that could not look for longer than a new key waits would answer with keys that
// are not all of them, and might sign with one that is gone.
func TestKeysThatAreTooOldAreOfNoUse(t *testing.T) {
	t.Parallel()
	pool, _ := database(t)
	k := open(t, pool, filepath.Join(t.TempDir(), "master.key"))
	fresh, err := k.Published(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := &looker{again: 0, useless: time.Hour, look: func() error { return errors.New("away") }}
	k.Keep(l)
	if body, err := k.Published(t.Context()); err != nil || !bytes.Equal(body, fresh) || l.looks != 1 {
		t.Errorf("after %d looks: %v; want what is known, for as long as it will do", l.looks, err)
	}
	l.useless = 0
	if _, err := k.Published(t.Context()); !errors.Is(err, keyring.ErrStale) {
		t.Errorf("keys that are too old are published: %v", err)
	}
	if _, err := k.Signing(keyring.ES256); !errors.Is(err, keyring.ErrStale) {
		t.Errorf("a key that is too old signs: %v", err)
	}
	l.look = func() error {
		stored, err := keyring.Stored(t.Context(), pool)
		l.useless = time.Hour
		return errors.Join(err, k.Use(stored, map[string]keyring.State{}, time.Now()))
	}
	if body, err := k.Published(t.Context()); err != nil || string(body) != `{"keys":[]}` {
		t.Errorf("after a look: %s, %v", body, err)
	}
}

// Looks may end in another order than they began in.
func TestAnOlderLookReplacesNothing(t *testing.T) {
	t.Parallel()
	pool, _ := database(t)
	k := open(t, pool, filepath.Join(t.TempDir(), "master.key"))
	stored, err := keyring.Stored(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := k.Use(stored, map[string]keyring.State{}, now); err != nil {
		t.Fatal(err)
	}
	if err := k.Use(stored, map[string]keyring.State{stored[0].KID: keyring.Current}, now.Add(-time.Second)); err != nil || len(k.PublicKeys()) != 0 {
		t.Errorf("%d keys, %v; want none, as at the later look", len(k.PublicKeys()), err)
	}
}
