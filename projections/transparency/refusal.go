package transparency

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
)

// Refusal says why a log is not signed.
type Refusal string

const (
	// RolledBack: the ledger ends before what was signed does.
	RolledBack Refusal = "rolled_back"
	// Forked: the log had another root at a size that was signed.
	Forked Refusal = "forked"
	// Forgotten: checkpoints were signed that this signer does not remember.
	Forgotten Refusal = "forgotten"
)

// RefusedError: a log does not extend a checkpoint that was signed of it. The
// ledger was rewritten or its database restored from a backup (or, where
// Forgotten, the signer's memory is not the one it should be).
type RefusedError struct {
	Refusal Refusal
	Signed  Checkpoint // what was signed
	Size    int64      // of the log now
	Root    tlog.Hash  // that the log has at the signed size, if it is that long
}

func (e *RefusedError) Error() string {
	switch e.Refusal {
	case RolledBack:
		return fmt.Sprintf("%s is not signed: it was signed with %d entries and the ledger has become shorter (%d now)",
			e.Signed.Origin, e.Signed.Size, e.Size)
	case Forgotten:
		return fmt.Sprintf("%s is not signed: it was signed with %d entries before, which this signer does not remember",
			e.Signed.Origin, e.Signed.Size)
	}
	return fmt.Sprintf("%s is not signed: at %d entries it was signed with root %s, now it has %s there",
		e.Signed.Origin, e.Signed.Size, e.Signed.Root, e.Root)
}

// next is what to sign of a log, nothing (size 0) when it is empty or still
// being brought back to where it was. It is remembered in known.
func (s *Signer) next(ctx context.Context, id uuid.UUID, known map[string]Remembered) (Signed, error) {
	origin := s.Origin(id)
	stored, err := s.logs.Newest(ctx, id, origin)
	if err != nil && !errors.Is(err, ErrNoCheckpoint) {
		return Signed{}, err
	}
	state, err := s.logs.State(ctx, id)
	if err != nil {
		return Signed{}, err
	}
	head, err := s.ledger.Head(ctx) // after the state: a log follows the ledger
	if err != nil {
		return Signed{}, err
	}
	last, remembered := known[origin]
	inDatabase := Remembered{Checkpoint: stored.Checkpoint, Position: stored.Position}
	if stored.Size > 0 && !remembered {
		return Signed{}, &RefusedError{Refusal: Forgotten, Signed: inDatabase.Checkpoint, Size: state.Size()}
	}
	for _, signed := range []Remembered{last, inDatabase} {
		switch {
		case head < max(signed.Position, state.Position):
			return Signed{}, &RefusedError{Refusal: RolledBack, Signed: signed.Checkpoint, Size: state.Size()}
		case state.Size() < signed.Size && state.Position < signed.Position:
			// The database lost what it had been told without waiting for the
			// disk, and the projection is deriving it again.
			return Signed{}, nil
		case state.Size() < signed.Size:
			return Signed{}, &RefusedError{Refusal: RolledBack, Signed: signed.Checkpoint, Size: state.Size()}
		}
		if err := s.extends(ctx, id, signed.Checkpoint, state); err != nil {
			return Signed{}, err
		}
	}
	if stored.Size > 0 && stored.Size == state.Size() {
		return stored, nil
	}
	next := Signed{Log: id, Position: state.Position, SignedAt: s.now().UTC()}
	next.Checkpoint = Checkpoint{Origin: origin, Size: state.Size(), Root: state.Root()}
	if next.Size != last.Size {
		known[origin] = Remembered{Checkpoint: next.Checkpoint, Position: next.Position, At: next.SignedAt}
	}
	return next, nil
}

// extends: the log begins with what was signed, which is no longer than it.
func (s *Signer) extends(ctx context.Context, id uuid.UUID, signed Checkpoint, state State) error {
	if signed.Size == 0 {
		return nil
	}
	root := state.Root()
	if signed.Size < state.Size() {
		var err error
		if root, err = s.logs.Root(ctx, id, signed.Size); err != nil {
			return err
		}
	}
	if root != signed.Root {
		return &RefusedError{Refusal: Forked, Signed: signed, Size: state.Size(), Root: root}
	}
	return nil
}

// Adopt has the signer remember the newest checkpoints of the database, after
// verifying that it signed them and that the logs extend them: for a signer
// whose memory was lost, or which is new beside others. It gives up what only
// the lost memory knew, so a person has to have decided it.
func (s *Signer) Adopt(ctx context.Context) (adopted []Checkpoint, err error) {
	var ids []uuid.UUID
	if ids, err = s.logs.signedLogs(ctx); err != nil {
		return nil, err
	}
	return adopted, s.memory.change(ctx, func(known map[string]Remembered) error {
		for _, id := range ids {
			if _, remembered := known[s.Origin(id)]; remembered {
				continue
			}
			stored, err := s.logs.Newest(ctx, id, s.Origin(id))
			if errors.Is(err, ErrNoCheckpoint) {
				continue // signed under other names only
			}
			if err != nil {
				return err
			}
			c, err := OpenCheckpoint(stored.Note, s.VerifierKey(id))
			if err != nil {
				return fmt.Errorf("adopt %s: %w", s.Origin(id), err)
			}
			state, err := s.logs.State(ctx, id)
			if err != nil {
				return err
			}
			if state.Size() < c.Size {
				return &RefusedError{Refusal: RolledBack, Signed: c, Size: state.Size()}
			}
			if err := s.extends(ctx, id, c, state); err != nil {
				return err
			}
			known[c.Origin] = Remembered{Checkpoint: c, Position: stored.Position, At: stored.SignedAt}
			adopted = append(adopted, c)
		}
		return nil
	})
}
