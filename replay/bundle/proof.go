package bundle

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	tlogproof "github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// ProvingLogs is what proving an event asks of the transparency logs.
type ProvingLogs interface {
	Checkpoints(ctx context.Context, log uuid.UUID) ([]transparency.Signed, error)
	Index(ctx context.Context, log uuid.UUID, position eventstore.Position, entry eventstore.Hash) (int64, error)
	ProveInclusion(ctx context.Context, log uuid.UUID, size, index int64) (tlog.RecordProof, error)
}

// ErrProof: a proof that does not prove what it should.
var ErrProof = errors.New("the proof does not hold")

// Prove proves that an event is in a log, by the newest checkpoint that was
// signed of it: a C2SP tlog-proof that has the record as extra data. The error is
// [transparency.ErrNoCheckpoint] where none that has the event is signed yet.
func Prove(ctx context.Context, logs ProvingLogs, log uuid.UUID, verifierKey string, position eventstore.Position, record []byte) ([]byte, error) {
	index, err := logs.Index(ctx, log, position, eventstore.HashOf(record))
	if err != nil {
		return nil, err
	}
	stored, err := logs.Checkpoints(ctx, log)
	if err != nil {
		return nil, err
	}
	for _, kept := range slices.Backward(stored) {
		c, err := transparency.OpenCheckpoint(kept.Note, verifierKey)
		if err != nil || c.Size <= index {
			continue
		}
		path, err := logs.ProveInclusion(ctx, log, c.Size, index)
		if err != nil {
			return nil, err
		}
		proof := tlogproof.TLogProof{Index: uint64(index), Checkpoint: kept.Note, ExtraData: record}
		for _, hash := range path {
			proof.Hashes = append(proof.Hashes, hash)
		}
		return proof.Marshal(), nil
	}
	return nil, fmt.Errorf("%w that has this event", transparency.ErrNoCheckpoint)
}

// Proven is an event that a proof proves to be in a log.
type Proven struct {
	Event      eventstore.Event // without its position, which no proof has
	Index      int64
	Checkpoint transparency.Checkpoint
}

const (
	proofHeader = "c2sp.org/tlog-proof@v1\n"
	extraPrefix = "extra "
)

// IsProof reports whether content is meant to be a proof.
func IsProof(content []byte) bool { return bytes.HasPrefix(content, []byte(proofHeader)) }

// VerifyProof checks a proof with nothing but the key that was pinned: the
// record's hash is the entry, the entry is in the tree, the tree's root is signed.
// The error is [ErrProof], or [transparency.ErrCheckpoint] where the key is not
// the one it was signed with.
func VerifyProof(content []byte, verifierKey string) (Proven, error) {
	record, rest, err := splitExtra(content)
	if err != nil {
		return Proven{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	var proof tlogproof.TLogProof
	if err := proof.Unmarshal(rest); err != nil {
		return Proven{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	c, err := transparency.OpenCheckpoint(proof.Checkpoint, verifierKey)
	if err != nil {
		return Proven{}, err
	}
	var inspector eventstore.Inspector
	event, _ := inspector.Read(record, 0)
	if _, err := event.Decode(); err != nil {
		return Proven{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	path := make(tlog.RecordProof, len(proof.Hashes))
	for i, hash := range proof.Hashes {
		path[i] = hash
	}
	proven := Proven{event, int64(proof.Index), c}
	if err := tlog.CheckRecord(path, c.Size, c.Root, proven.Index, tlog.RecordHash(event.Hash[:])); err != nil {
		return Proven{}, fmt.Errorf("%w: the event is not at index %d of the tree: %w", ErrProof, proof.Index, err)
	}
	return proven, nil
}

// splitExtra takes out the line with the record, which may be longer than a
// reader of proofs takes lines to be.
func splitExtra(content []byte) (record, rest []byte, err error) {
	if !IsProof(content) {
		return nil, nil, errors.New("it does not begin like one")
	}
	line, after, _ := bytes.Cut(content[len(proofHeader):], []byte("\n"))
	text, has := bytes.CutPrefix(line, []byte(extraPrefix))
	if !has {
		return nil, nil, errors.New("it brings no record along")
	}
	if record, err = base64.StdEncoding.DecodeString(string(text)); err != nil {
		return nil, nil, err
	}
	if bytes.HasPrefix(after, []byte(extraPrefix)) {
		return nil, nil, errors.New("it brings more than one record along")
	}
	return record, append([]byte(proofHeader), after...), nil
}
