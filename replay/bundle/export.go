package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/ordered"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Logs is what exporting asks of the transparency logs.
type Logs interface {
	State(ctx context.Context, log uuid.UUID) (transparency.State, error)
	Entries(ctx context.Context, log uuid.UUID, from, to int64) iter.Seq2[eventstore.Hash, error]
	Checkpoints(ctx context.Context, log uuid.UUID) ([]transparency.Signed, error)
}

// Exporter writes bundles.
type Exporter struct {
	Store       eventstore.Store
	Logs        Logs
	VerifierKey func(log uuid.UUID) string
	Progress    func(events int) // told of events since the last time; nil: nobody is
}

// Export writes a bundle of the whole ledger, or of one organization, up to where
// its log ends now: to the newest checkpoint and what was logged since. It reads
// what is there and judges nothing: that is for who verifies it. The ledger may
// be written to meanwhile. Memory is flat.
func (x *Exporter) Export(ctx context.Context, w io.Writer, organization domain.OrganizationID) (Manifest, error) {
	m, err := x.export(ctx, w, organization.UUID)
	if err != nil {
		return m, fmt.Errorf("export: %w", err)
	}
	return m, nil
}

func (x *Exporter) export(ctx context.Context, w io.Writer, log uuid.UUID) (m Manifest, err error) {
	key := x.VerifierKey(log)
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return m, fmt.Errorf("the verifier key: %w", err)
	}
	stored, err := x.Logs.Checkpoints(ctx, log)
	if err != nil {
		return m, err
	}
	state, err := x.Logs.State(ctx, log)
	if err != nil {
		return m, err
	}
	m = Manifest{Format: Format, Origin: verifier.Name(), CreatedAt: time.Now().UTC().Truncate(time.Second)}
	if log != transparency.Whole {
		m.Organization = &log
	}
	b := newBundleWriter(w, &m)
	if err := x.events(ctx, b, log, state.Size()); err != nil {
		return m, err
	}
	if err := x.entries(ctx, b, log, state.Size()); err != nil {
		return m, err
	}
	var lines bytes.Buffer
	for _, s := range stored {
		if s.Origin != verifier.Name() {
			continue // of a name that the log had before
		}
		line, err := json.Marshal(checkpointLine{s.SignedAt.UTC(), string(s.Note)})
		if err != nil {
			return m, err
		}
		lines.Write(append(line, '\n'))
		m.Checkpoints++
	}
	if err := b.add(checkpointsMember, lines.Bytes(), int64(m.Checkpoints)); err != nil {
		return m, err
	}
	if err := b.add(keyMember, []byte(key+"\n"), 1); err != nil {
		return m, err
	}
	return m, b.close()
}

// events writes the first events that there are.
func (x *Exporter) events(ctx context.Context, b *bundleWriter, log uuid.UUID, count int64) error {
	type packed struct {
		bytes   []byte
		records int
	}
	texts := x.texts(ctx, b.manifest, log, count)
	members := ordered.Map(ctx, runtime.GOMAXPROCS(0), texts, func() func(text) (packed, error) {
		return func(t text) (packed, error) {
			bytes, err := compress(t.bytes)
			return packed{bytes, t.records}, err
		}
	})
	number := 0
	for member, err := range members {
		if err != nil {
			return err
		}
		if err := b.add(fmt.Sprintf(eventsMember, number), member.bytes, int64(member.records)); err != nil {
			return err
		}
		if x.Progress != nil {
			x.Progress(member.records)
		}
		number++
	}
	return nil
}

// text is the records of a member.
type text struct {
	bytes   []byte
	records int
}

// add adds a record as a line. No record has a line break in it; what has one
// was tampered with, and stays one line, in which the break is a zero byte: what
// it said does not matter any more, which one it was does.
func (t *text) add(record []byte) {
	from := len(t.bytes)
	t.bytes = append(t.bytes, record...)
	for at := bytes.IndexByte(t.bytes[from:], '\n'); at >= 0; at = bytes.IndexByte(t.bytes[from:], '\n') {
		t.bytes[from+at] = 0
	}
	t.bytes = append(t.bytes, '\n')
	t.records++
}

func (x *Exporter) texts(ctx context.Context, m *Manifest, log uuid.UUID, count int64) iter.Seq2[text, error] {
	return func(yield func(text, error) bool) {
		var t text
		// Where events are lacking at the end they are asked for twice.
		for tries := 2; tries > 0 && m.Events < count; tries-- {
			for e, err := range x.Store.ReadAll(ctx, m.LastPosition, eventstore.Filter{Organization: log}) {
				if err != nil {
					yield(t, err)
					return
				}
				if m.Events == 0 {
					m.FirstPosition = e.Position
				}
				m.Events++
				m.LastPosition = e.Position
				t.add(e.Record)
				if t.records >= memberRecords || len(t.bytes) >= memberBytes {
					if !yield(t, nil) {
						return
					}
					t = text{bytes: make([]byte, 0, len(t.bytes)+len(t.bytes)/8)}
				}
				if m.Events == count {
					break
				}
			}
		}
		if t.records > 0 {
			yield(t, nil)
		}
	}
}

// shrinks is by how much records shrink, at least, as a rule.
const shrinks = 3

func compress(text []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(text) / shrinks)
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(text); err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// entries writes what the log has of them; what it lacks, verification finds.
func (x *Exporter) entries(ctx context.Context, b *bundleWriter, log uuid.UUID, count int64) error {
	number := 0
	for page, err := range ordered.Pages(x.Logs.Entries(ctx, log, 0, count), memberEntries) {
		if errors.Is(err, transparency.ErrNotLogged) {
			return nil
		}
		if err != nil {
			return err
		}
		raw := make([]byte, 0, len(page)*len(eventstore.Hash{}))
		for _, entry := range page {
			raw = append(raw, entry[:]...)
		}
		if err := b.add(fmt.Sprintf(entriesMember, number), raw, 0); err != nil {
			return err
		}
		b.manifest.Entries += int64(len(page))
		number++
	}
	return nil
}
