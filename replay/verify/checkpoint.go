package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/projections/transparency"
)

// Checkpoint is what is known of a log at a size, by its key's signature or
// because it was kept where nobody who has the database could change it.
type Checkpoint struct {
	Size     int64     `json:"treeSize"`
	Root     tlog.Hash `json:"rootHash"`
	SignedAt time.Time `json:"signedAt,omitzero"` // zero where it is not known
	Outside  bool      `json:"-"`                 // kept outside the ledger's database
}

// maxRemembered bounds the checkpoints that are compared. Of more every other one
// is left out, but never the largest.
const maxRemembered = 1 << 17

// OpenSigned keeps those of the stored checkpoints that the key signed. Others
// are left out, as if they were not there: they may be of a key or a name that
// the log had before. Forged is how many bear a false signature of this key.
func OpenSigned(stored iter.Seq2[[]byte, time.Time], verifier note.Verifier, verifierKey string) (signed []Checkpoint, forged int) {
	for text, signedAt := range stored {
		c, err := transparency.OpenCheckpoint(text, verifierKey)
		if err == nil {
			if len(signed) == maxRemembered {
				signed = thin(signed)
			}
			signed = append(signed, Checkpoint{Size: c.Size, Root: c.Root, SignedAt: signedAt})
			continue
		}
		var invalid *note.InvalidSignatureError
		if _, err := note.Open(text, note.VerifierList(verifier)); errors.As(err, &invalid) {
			forged++
		}
	}
	return signed, forged
}

// thin leaves out every other one, but not the largest.
func thin(checkpoints []Checkpoint) []Checkpoint {
	BySize(checkpoints)
	kept := checkpoints[:0]
	for i := 1 - len(checkpoints)%2; i < len(checkpoints); i += 2 {
		kept = append(kept, checkpoints[i])
	}
	return kept
}

// ReadCheckpoint reads what somebody kept of a log: a signed checkpoint, whose
// signature is verified, or the file of a signer's memory, of which the line
// of the log counts. The error is [transparency.ErrCheckpoint] when it is
// neither, or of another log.
func ReadCheckpoint(content []byte, verifierKey string) (Checkpoint, error) {
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: the verifier key: %w", transparency.ErrCheckpoint, err)
	}
	if remembered, is := fromMemory(content, verifier.Name()); is {
		return remembered, nil
	}
	c, err := transparency.OpenCheckpoint(content, verifierKey)
	if err != nil {
		return Checkpoint{}, err
	}
	return Checkpoint{Size: c.Size, Root: c.Root, Outside: true}, nil
}

// fromMemory reads the line of an origin: origin, size, root hash, time.
func fromMemory(content []byte, origin string) (Checkpoint, bool) {
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[0] != origin {
			continue
		}
		c := Checkpoint{Outside: true}
		_, err := fmt.Sscan(fields[1], &c.Size)
		if err == nil {
			c.Root, err = tlog.ParseHash(fields[2])
		}
		if err == nil {
			c.SignedAt, err = time.Parse(time.RFC3339, fields[3])
		}
		return c, err == nil && c.Size >= 0
	}
	return Checkpoint{}, false
}

// BySize sorts checkpoints. One kept outside that was also found inside counts
// once, as kept outside; it takes from the other when it was signed.
func BySize(checkpoints []Checkpoint) []Checkpoint {
	slices.SortStableFunc(checkpoints, func(a, b Checkpoint) int {
		if a.Size != b.Size {
			return int(min(max(a.Size-b.Size, -1), 1))
		}
		return bytes.Compare(a.Root[:], b.Root[:])
	})
	kept := checkpoints[:0]
	for _, c := range checkpoints {
		last := len(kept) - 1
		if last < 0 || kept[last].Size != c.Size || kept[last].Root != c.Root {
			kept = append(kept, c)
			continue
		}
		kept[last].Outside = kept[last].Outside || c.Outside
		if kept[last].SignedAt.IsZero() {
			kept[last].SignedAt = c.SignedAt
		}
	}
	return kept
}
