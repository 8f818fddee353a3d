package system_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// listedKey is a key as agentidp keys list --json shows it.
type listedKey struct {
	KID, Alg, State, NextStep string
	Since                     time.Time
	NextAt                    *time.Time
	VerifyOnly                bool
}

func (w *world) keysListed(t *testing.T) (keys []listedKey) {
	t.Helper()
	r := runToEnd(t, w.settings, "keys", "list", "--json")
	var answer struct{ Keys []listedKey }
	if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil || r.code != exitOK {
		t.Fatalf("keys list --json: code %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	return answer.Keys
}

func keyIn(keys []listedKey, state, alg string) (found listedKey) {
	for _, key := range keys {
		if key.State == state && key.Alg == alg {
			found = key
		}
	}
	return found
}

// published waits until a server's key set has a key, or has it no more.
func (s *node) published(t *testing.T, kid string, want bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		set := s.must(t, http.StatusOK, http.MethodGet, "/.well-known/jwks.json", "", nil)
		for _, secret := range []string{`"d"`, `"p"`, `"q"`, `"dp"`, `"dq"`, `"qi"`, `"k"`} {
			if strings.Contains(string(set.raw), secret) {
				t.Fatalf("the key set has a private member %s: %s", secret, set.raw)
			}
		}
		if strings.Contains(string(set.raw), kid) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is in the key set: %v, want %v", kid, !want, want)
		}
	}
}

var hiddenKey = regexp.MustCompile(`PRIVATE KEY|"d":`)

func TestOperatorsSeeToTheKeysBesideAServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	owner := s.tenant(t, w)
	keys := func(code int, says string, args ...string) string {
		t.Helper()
		r := runToEnd(t, w.settings, append([]string{"keys"}, args...)...)
		if r.code != code || !strings.Contains(r.stdout+r.stderr, says) || hiddenKey.MatchString(r.stdout+r.stderr) {
			t.Fatalf("keys %v: code %d, want %d and %q\n%s%s", args, r.code, code, says, r.stdout, r.stderr)
		}
		return r.stdout
	}
	before := s.mustToken(t, owner.agent, owner.secret, "")
	alive := func(status int, token string) {
		t.Helper()
		s.must(t, status, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
	}

	first := w.keysListed(t)
	if len(first) != 2 || keyIn(first, "current", "ES256").NextStep != "another is published" {
		t.Errorf("the first keys are %+v", first)
	}
	keys(exitFailed, "try again at", "rotate") // within five minutes of the first
	now := strings.Fields(keys(exitOK, "is the current ES256 key now", "rotate", "--alg", "ES256", "--now"))[0]
	s.published(t, now, true)
	alive(http.StatusOK, before) // the old key still verifies
	after := s.mustToken(t, owner.agent, owner.secret, "")
	alive(http.StatusOK, after)
	listed := w.keysListed(t)
	retired := keyIn(listed, "retired", "ES256")
	if keyIn(listed, "current", "ES256").KID != now || retired.NextAt == nil || retired.NextAt.Sub(retired.Since) != 25*time.Hour {
		t.Errorf("after a rotation: %+v", listed)
	}

	keys(exitFailed, "no signing key", "retire", "nobody")
	keys(exitFailed, "rotate", "retire", now) // tokens are signed with it
	keys(exitOK, "its tokens have ended", "retire", now, "--at-once")
	alive(http.StatusUnauthorized, after)
	alive(http.StatusOK, before)
	s.published(t, now, false)
	alive(http.StatusOK, s.mustToken(t, owner.agent, owner.secret, ""))
	keys(exitFailed, "no signing key", "retire", now)

	table := keys(exitOK, "NEXT STEP", "list")
	for _, column := range []string{"KID", "ALG", "STATE", "SINCE", retired.KID, "retired", "gone at "} {
		if !strings.Contains(table, column) {
			t.Errorf("keys list has no %q:\n%s", column, table)
		}
	}
	for _, args := range [][]string{{"rotate", "--alg", "HS256"}, {"retire"}, {"retire", "a", "b"}, {"import"}, {"import", "--private", "/nowhere"}, {"nonsense"}} {
		keys(exitBadUsage, "", args...)
	}
	elsewhere := runToEnd(t, append(slices.Clip(w.settings), "DATABASE_URL=postgres://nobody@127.0.0.1:1/none"), "keys", "list")
	if elsewhere.code != exitBadUsage {
		t.Errorf("without a database: code %d, want %d\n%s", elsewhere.code, exitBadUsage, elsewhere.stderr)
	}
}

func TestOperatorsImportKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, public := filepath.Join(t.TempDir(), "private"), filepath.Join(t.TempDir(), "public")
	write := func(path, kind string, der []byte, err error) string {
		t.Helper()
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	text := write(private, "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(key.Public())
	write(public, "PUBLIC KEY", der, err)

	// Beside servers that have just published a key it is refused, and before any runs it is the first.
	late := runToEnd(t, w.settings, "keys", "import", "--private", private)
	if late.code != exitFailed || !strings.Contains(late.stderr, "try again at") {
		t.Errorf("within five minutes of the first keys: code %d\n%s%s", late.code, late.stdout, late.stderr)
	}
	sql(t, w.superuserURL, `UPDATE signing_keys SET created_at = created_at - interval '5 minutes'`)
	twisted := runToEnd(t, w.settings, "keys", "import", "--private", public, "--public", private)
	if twisted.code != exitFailed || hiddenKey.MatchString(twisted.stderr) {
		t.Errorf("halves that are interchanged: code %d\n%s", twisted.code, twisted.stderr)
	}
	fromEnvironment := append(slices.Clip(w.settings), "JWT_PRIVATE_KEY="+strings.ReplaceAll(text, "\n", `\n`))
	r := runToEnd(t, fromEnvironment, "keys", "import")
	if r.code != exitOK || hiddenKey.MatchString(r.stdout+r.stderr) {
		t.Fatalf("keys import: code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	kid := strings.Fields(r.stdout)[0]
	s := w.serve(t)
	s.published(t, kid, true)
	if waits := keyIn(w.keysListed(t), "published", "ES256"); waits.KID != kid || waits.VerifyOnly {
		t.Errorf("the imported key is listed as %+v", waits)
	}
	if again := runToEnd(t, w.settings, "keys", "import", "--public", public); again.code != exitFailed {
		t.Errorf("a key that is there is imported again: code %d\n%s", again.code, again.stdout)
	}
}
