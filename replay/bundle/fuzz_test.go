package bundle

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/verify"
)

// forged is a bundle whose parts anybody may have written, in an archive and
// under a manifest that fit them.
type forged struct {
	text, entries, checkpoints []byte
	lines, logged              int64
}

// pack makes the file.
func (b forged) pack(tb testing.TB, origin, key string) *io.SectionReader {
	tb.Helper()
	var file, packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, err := zip.Write(b.text)
	w := newBundleWriter(&file, &Manifest{Format: Format, Origin: origin, Events: b.lines, Entries: b.logged, Checkpoints: 1})
	err = errors.Join(err, zip.Close(),
		w.add(fmt.Sprintf(eventsMember, 0), packed.Bytes(), b.lines), w.add(fmt.Sprintf(entriesMember, 0), b.entries, 0),
		w.add(checkpointsMember, b.checkpoints, 1), w.add(keyMember, []byte(key), 1), w.close())
	if err != nil {
		tb.Fatal(err)
	}
	return io.NewSectionReader(bytes.NewReader(file.Bytes()), 0, int64(file.Len()))
}

// honest is a small ledger, its bundle, and a checkpoint of it.
func honest(tb testing.TB) (b forged, kept verify.Checkpoint, origin, key string) {
	tb.Helper()
	tree, prev := &transparency.Tree{}, eventstore.Hash{}
	for revision := range int64(3) {
		e, err := eventstore.SealEvent(eventstore.Draft{
			ID: uuid.NewSHA1(uuid.Nil, []byte{byte(revision)}), Type: "a.happened", Schema: 1, Organization: uuid.NewSHA1(uuid.Nil, []byte("o")),
			Actor: eventstore.Actor{Kind: "system", ID: "test"}, Time: time.Unix(1_790_000_000+revision, 0), Data: json.RawMessage(`{"n":1}`),
		}, "a-1", revision, prev)
		if err != nil {
			tb.Fatal(err)
		}
		prev = e.Hash
		tree.Append(e.Hash)
		b.text = append(append(b.text, e.Record...), '\n')
		b.entries = append(b.entries, e.Hash[:]...)
		b.lines++
	}
	b.logged = b.lines
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	origin = "ledger.example/ledger"
	key, err := note.NewEd25519VerifierKey(origin, private.Public().(ed25519.PublicKey))
	if err != nil {
		tb.Fatal(err)
	}
	return b, verify.Checkpoint{Size: tree.Size(), Root: tree.Root(), Outside: true}, origin, key
}

// Whatever somebody writes into a bundle, it is not taken for the ledger of which
// a checkpoint was kept, unless it begins with just the events of that.
func FuzzBundle(f *testing.F) {
	b, kept, origin, key := honest(f)
	f.Add(b.text, b.lines, b.entries, b.logged, b.checkpoints)
	f.Add(b.text[:len(b.text)/2], int64(2), b.entries, b.logged, []byte(`{"signedAt":"2026-01-01T00:00:00Z","note":"x"}`))
	f.Add([]byte("{}\n"), int64(1), bytes.Repeat([]byte{1}, sha256.Size), int64(1), []byte("{"))
	f.Add([]byte{}, int64(-1), []byte{1}, int64(-1), []byte{})
	f.Fuzz(func(t *testing.T, text []byte, lines int64, entries []byte, logged int64, checkpoints []byte) {
		attempt := forged{text: text, lines: lines, entries: entries, logged: logged, checkpoints: checkpoints}
		bundle, err := Open(attempt.pack(t, origin, key))
		if err != nil {
			return
		}
		report, err := bundle.Verify(t.Context(), Options{VerifierKey: key, Against: []verify.Checkpoint{kept}})
		if err == nil && report.Break == nil && !bytes.HasPrefix(text, b.text) {
			t.Errorf("%q is taken for the ledger: %+v", text, report)
		}
	})
}

func TestTheBundleThatIsFuzzedIsVerified(t *testing.T) {
	t.Parallel()
	b, kept, origin, key := honest(t)
	bundle, err := Open(b.pack(t, origin, key))
	if err != nil {
		t.Fatal(err)
	}
	report, err := bundle.Verify(t.Context(), Options{VerifierKey: key, Against: []verify.Checkpoint{kept}})
	if err != nil || report.Break != nil || report.Checked != 3 || report.Checkpoint == nil {
		t.Errorf("%+v, %v; want three events that agree with the checkpoint", report, err)
	}
}
