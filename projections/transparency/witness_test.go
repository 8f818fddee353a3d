package transparency

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

func TestCosignaturesOfKnownWitnessesStandInTheCheckpoint(t *testing.T) {
	w := grown(t)
	signed := sign(t, newSigner(t, w, newMemory(t)), Whole)[0]
	var keys []string
	var lines []string
	for _, name := range []string{"witness.example/a", "witness.example/b", "stranger.example"} {
		secret, public, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := cosignature.NewSignerForCosignatureV1(secret)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := note.Open(signed.Note, note.VerifierList(mustVerifier(t, newSigner(t, w, newMemory(t)).VerifierKey(Whole))))
		if err != nil {
			t.Fatal(err)
		}
		cosigned, err := note.Sign(&note.Note{Text: opened.Text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(cosigned), "\n\n")
		keys, lines = append(keys, public), append(lines, line)
	}
	witnesses, err := NewWitnesses(w.pool, "idp.example", keys[:2])
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines[:2] {
		got, err := witnesses.Accept(t.Context(), signed.Size, line)
		if err != nil || !strings.HasSuffix(string(got.Note), strings.Join(lines[:i+1], "")) {
			t.Fatalf("after %q the checkpoint is %q (%v)", line, got.Note, err)
		}
	}
	if _, err := witnesses.Accept(t.Context(), signed.Size, lines[0]); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	// As a witness with several keys answers, one of which is not known here.
	if got, err := witnesses.Accept(t.Context(), signed.Size, lines[0]+lines[2]+lines[1]); err != nil || strings.Contains(string(got.Note), lines[2]) {
		t.Errorf("several at once: %v", err)
	}
	for name, line := range map[string]string{
		"of a stranger": lines[2], "nothing": "", "lines with a gap": lines[0] + "\n" + lines[1],
		"altered": strings.Replace(lines[0], "— ", "— x", 1),
	} {
		if _, err := witnesses.Accept(t.Context(), signed.Size, line); !errors.Is(err, ErrCosignature) {
			t.Errorf("%s: %v, want ErrCosignature", name, err)
		}
	}
	if _, err := witnesses.Accept(t.Context(), signed.Size-1, lines[0]); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("for a size that was not signed: %v, want ErrNoCheckpoint", err)
	}
	w.grow(t, 1)
	next := sign(t, newSigner(t, w, restoreMemory(t, w)), Whole)[0]
	if _, err := witnesses.Accept(t.Context(), next.Size, lines[0]); !errors.Is(err, ErrCosignature) {
		t.Errorf("a cosignature of another checkpoint: %v, want ErrCosignature", err)
	}
}

func mustVerifier(t *testing.T, key string) note.Verifier {
	t.Helper()
	verifier, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func restoreMemory(t *testing.T, w *world) *Memory {
	t.Helper()
	memory := newMemory(t)
	if _, err := newSigner(t, w, memory).Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	return memory
}
