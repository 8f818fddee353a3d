package transparency

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
)

func fixedTime() time.Time { return time.Date(2026, time.November, 1, 12, 0, 0, 0, time.UTC) }

func sign(t *testing.T, s *Signer, ids ...uuid.UUID) []Signed {
	t.Helper()
	signed, err := s.Sign(t.Context(), ids...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestACheckpointStatesTheTreeAndNothingElseVerifies(t *testing.T) {
	w := grown(t)
	s := newSigner(t, w, newMemory(t))
	for _, signed := range sign(t, s, Whole, ours) {
		c, err := OpenCheckpoint(signed.Note, s.VerifierKey(signed.Log))
		want := Checkpoint{Origin: s.Origin(signed.Log), Size: int64(len(w.entries(signed.Log)))}
		want.Root = rootOf(t, treeOf(t, w.entries(signed.Log)), want.Size)
		if err != nil || c != want {
			t.Errorf("the checkpoint says %v (%v), want %v", c, err, want)
		}
		for i := range signed.Note {
			forged := append([]byte(nil), signed.Note...)
			forged[i] ^= 1
			if _, err := OpenCheckpoint(forged, s.VerifierKey(signed.Log)); !errors.Is(err, ErrCheckpoint) {
				t.Fatalf("with a bit of byte %d turned it opens: %v", i, err)
			}
		}
		if _, err := OpenCheckpoint(signed.Note, s.VerifierKey(theirs)); err == nil {
			t.Error("it opens as another log's")
		}
		kept, err := w.Checkpoint(t.Context(), signed.Log, signed.Origin, signed.Size)
		if err != nil || string(kept.Note) != string(signed.Note) {
			t.Errorf("kept is %q (%v)", kept.Note, err)
		}
	}
}

func TestSigningAgainGivesTheSameCheckpoint(t *testing.T) {
	w := grown(t)
	s := newSigner(t, w, newMemory(t))
	first := sign(t, s, ours)[0]
	again := sign(t, s, ours)[0]
	if string(first.Note) != string(again.Note) || !first.SignedAt.Equal(again.SignedAt) {
		t.Errorf("signed %q, then %q", first.Note, again.Note)
	}
	if signed := sign(t, s, uuid.New()); len(signed) != 0 {
		t.Errorf("a log without entries was signed: %v", signed)
	}
}

func TestSignAllSignsWhatHasGrown(t *testing.T) {
	w := grown(t)
	s := newSigner(t, w, newMemory(t))
	for step, want := range []int{3, 1} { // then there is nothing new, and the whole ledger is looked at
		if signed, err := s.SignAll(t.Context()); err != nil || len(signed) != want {
			t.Errorf("step %d signed %d logs (%v), want %d", step, len(signed), err, want)
		}
	}
}

func TestWhatDoesNotExtendTheLastCheckpointIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		harm func(*testing.T, *world)
		want Refusal
	}{
		"rewritten, of the same length": {func(t *testing.T, w *world) { n := len(w.kept); w.restart(t, 1); w.grow(t, n) }, Forked},
		"restored and written on":       {func(t *testing.T, w *world) { w.restart(t, 0); w.grow(t, 800); w.salt = 1; w.grow(t, 400) }, Forked},
		"restored from before":          {func(t *testing.T, w *world) { w.restart(t, 0); w.grow(t, 800) }, RolledBack},
		"an event taken out, derived again": {func(t *testing.T, w *world) {
			kept := w.kept
			w.restart(t, 0)
			w.head = kept[len(kept)-1].Position
			w.append(t, append(slices.Clone(kept[:300]), kept[301:]...))
		}, RolledBack},
		"the ledger cut, the log not":         {func(_ *testing.T, w *world) { w.head -= 100 }, RolledBack},
		"one tile altered":                    {func(t *testing.T, w *world) { w.exec(t, alterTile); w.grow(t, 1) }, Forked},
		"restored, checkpoints gone as well":  {func(t *testing.T, w *world) { w.restart(t, 2); w.exec(t, dropAll); w.grow(t, 2000) }, Forked},
		"an empty database in place of it":    {func(t *testing.T, w *world) { w.restart(t, 2); w.exec(t, dropAll) }, RolledBack},
		"a checkpoint of another tree put in": {func(t *testing.T, w *world) { w.exec(t, forge); w.grow(t, 1) }, Forked},
	} {
		t.Run(name, func(t *testing.T) {
			w := grown(t)
			s := newSigner(t, w, newMemory(t))
			sign(t, s, Whole)
			test.harm(t, w)
			signed, err := s.SignAll(t.Context())
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.Refusal != test.want {
				t.Fatalf("signed %d, error %v; want it refused as %s", len(signed), err, test.want)
			}
		})
	}
}

const (
	alterTile = `UPDATE transparency_tiles SET hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1)
		WHERE organization_id = '00000000-0000-0000-0000-000000000000' AND level = 0 AND number = 3`
	dropAll = `TRUNCATE checkpoints CASCADE`
	forge   = `UPDATE checkpoints SET root = set_byte(root, 0, get_byte(root, 0) # 1)`
)

func TestALogOnItsWayBackIsWaitedFor(t *testing.T) {
	w := grown(t)
	s := newSigner(t, w, newMemory(t))
	sign(t, s, Whole)
	head, kept := w.head, w.kept
	w.restart(t, 0)
	w.append(t, kept[:100])
	w.head = head
	if signed := sign(t, s, Whole); len(signed) != 0 {
		t.Errorf("signed %v of a log that is being derived again", signed)
	}
	w.append(t, kept)
	w.kept = kept
	if signed := sign(t, s, Whole); len(signed) != 1 || signed[0].Size != int64(len(kept)) {
		t.Errorf("signed %v when it was back", signed)
	}
}

func TestASignerWithoutItsMemorySignsNothingUntilItAdopts(t *testing.T) {
	w := grown(t)
	sign(t, newSigner(t, w, newMemory(t)), Whole, ours)
	s := newSigner(t, w, newMemory(t))
	var refused *RefusedError
	if _, err := s.Sign(t.Context(), ours); !errors.As(err, &refused) || refused.Refusal != Forgotten {
		t.Fatalf("a signer that remembers nothing: %v, want it refused as %s", err, Forgotten)
	}
	if adopted, err := s.Adopt(t.Context()); err != nil || len(adopted) != 2 {
		t.Fatalf("adopted %v (%v), want two", adopted, err)
	}
	w.grow(t, 10)
	sign(t, s, Whole, ours)

	w.exec(t, forge) // beside the note, which is what is adopted
	if adopted, err := newSigner(t, w, newMemory(t)).Adopt(t.Context()); err != nil || len(adopted) != 2 {
		t.Errorf("adopted %v (%v), want what the notes say", adopted, err)
	}
	w.exec(t, `UPDATE checkpoints SET note = convert_to(replace(convert_from(note, 'UTF8'), 'idp.example/ledger', 'idp.example/legder'), 'UTF8')`)
	if _, err := newSigner(t, w, newMemory(t)).Adopt(t.Context()); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a checkpoint that was not signed was adopted: %v", err)
	}
}

func TestADamagedMemorySignsNothing(t *testing.T) {
	w := grown(t)
	memory := newMemory(t)
	s := newSigner(t, w, memory)
	sign(t, s, Whole)
	intact, err := os.ReadFile(memory.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "x", strings.Replace(string(intact), "/1\n", "/2\n", 1), string(intact[:len(intact)-30])} {
		if err := os.WriteFile(memory.Path(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign(t.Context(), Whole); !errors.Is(err, ErrMemory) {
			t.Errorf("with the memory %q: %v, want ErrMemory", content, err)
		}
	}
}

// notary notes every tree that is ever signed.
type notary struct {
	mu    sync.Mutex
	roots map[string]map[int64]tlog.Hash
}

func (n *notary) sees(t *testing.T, s *Signer, signed Signed) {
	t.Helper()
	c, err := OpenCheckpoint(signed.Note, s.VerifierKey(signed.Log))
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.roots[c.Origin] == nil {
		n.roots[c.Origin] = map[int64]tlog.Hash{}
	}
	if root, known := n.roots[c.Origin][c.Size]; known && root != c.Root {
		t.Fatalf("%s was signed at size %d with the roots %s and %s", c.Origin, c.Size, root, c.Root)
	}
	n.roots[c.Origin][c.Size] = c.Root
}

var errKilled = errors.New("killed")

// Whatever is done to the database between its deaths, a signer signs one tree
// of each size.
func TestAKilledSignerNeverSignsTwoTreesOfOneSize(t *testing.T) {
	const rounds = 1000
	w := grown(t)
	memory := newMemory(t)
	seen := &notary{roots: map[string]map[int64]tlog.Hash{}}
	random := rand.New(rand.NewPCG(4, 2))
	var killed, refused, passed int
	for round := range rounds {
		switch random.IntN(12) {
		case 0: // somebody rewrites the ledger
			n := len(w.kept)
			w.restart(t, uint64(round)+1)
			w.grow(t, max(1, n+random.IntN(3)-1))
		case 1: // and puts the right one back
			n := len(w.kept)
			w.restart(t, 0)
			w.grow(t, n+5)
		default:
			w.grow(t, 1+random.IntN(3))
		}
		s := newSigner(t, w, memory) // a new process, the same file
		at := []point{beforeMemory, beforeSign, beforeStore, ""}[random.IntN(4)]
		var last Signed
		s.passed = func(p point) error {
			if p == at {
				return errKilled
			}
			return nil
		}
		signed, err := s.Sign(t.Context(), Whole)
		var refusal *RefusedError
		switch {
		case errors.Is(err, errKilled):
			killed++
			if at == beforeStore { // the signature was made, and may be out
				last = s.reveal(t)
				seen.sees(t, s, last)
			}
		case errors.As(err, &refusal):
			refused++
		case err != nil:
			t.Fatal(err)
		default:
			passed++
		}
		for _, c := range signed {
			seen.sees(t, s, c)
		}
	}
	t.Logf("killed %d times, refused %d times, signed %d times", killed, refused, passed)
	if killed < rounds/4 || refused < rounds/50 || passed < rounds/10 {
		t.Error("the rounds do not test what they should")
	}
}

// reveal is the signature that a signer made right before it was killed: what
// its memory says, for Ed25519 is deterministic.
func (s *Signer) reveal(t *testing.T) Signed {
	t.Helper()
	known, err := s.memory.Load()
	if err != nil {
		t.Fatal(err)
	}
	c := known[s.Origin(Whole)]
	signed, err := c.sign(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return Signed{Log: Whole, Note: signed}
}

func TestSignersThatShareAMemoryAgree(t *testing.T) {
	w := grown(t)
	memory := newMemory(t)
	seen := &notary{roots: map[string]map[int64]tlog.Hash{}}
	for range 20 {
		w.grow(t, 3)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				s := newSigner(t, w, OpenMemory(memory.Path()))
				signed, err := s.Sign(t.Context(), Whole, ours)
				if err != nil || len(signed) != 2 {
					t.Errorf("signed %d (%v), want 2", len(signed), err)
				}
				for _, c := range signed {
					seen.sees(t, s, c)
				}
			})
		}
		all.Wait()
	}
}
