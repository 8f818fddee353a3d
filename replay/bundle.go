package replay

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// BundleFormat names the one format of bundles there is; docs/ledger-format.md
// describes it byte by byte. A bundle is an uncompressed tar archive of
//
//	events/000000.jsonl.gz …  the records, one a line, in ledger order
//	entries/000000.bin …      the entries of the log, 32 bytes each
//	checkpoints.jsonl         every checkpoint that was signed of the log
//	verifier-key.txt          what they are verified with
//	manifest.json             what is above, with sizes and hashes
//
// in this order, numbers counting up.
const BundleFormat = "agentidp.bundle/1"

const (
	eventsMember      = "events/%06d.jsonl.gz"
	entriesMember     = "entries/%06d.bin"
	checkpointsMember = "checkpoints.jsonl"
	keyMember         = "verifier-key.txt"
	manifestMember    = "manifest.json"

	// A member of events is closed when it holds so many records or bytes, so
	// that it can be made and read in memory.
	memberRecords = 4096
	memberBytes   = 4 << 20
	memberEntries = 1 << 15

	// maxMember bounds what a reader takes into memory of a member, compressed or
	// not, whoever wrote it.
	maxMember = 256 << 20
)

// ErrBundle: a file is no bundle, or a damaged one. It proves nothing, neither
// that the ledger is intact nor that it is broken.
var ErrBundle = errors.New("not an intact bundle")

// Manifest says what is in a bundle.
type Manifest struct {
	Format        string              `json:"format"`
	Origin        string              `json:"origin"`       // of the log
	Organization  *uuid.UUID          `json:"organization"` // null: the whole ledger
	CreatedAt     time.Time           `json:"createdAt"`
	Events        int64               `json:"events"`
	Entries       int64               `json:"entries"`
	Checkpoints   int                 `json:"checkpoints"`
	FirstPosition eventstore.Position `json:"firstPosition"` // 0 when there are no events
	LastPosition  eventstore.Position `json:"lastPosition"`
	Members       []Member            `json:"members"` // all but the manifest, in their order
}

// Member is a file in a bundle.
type Member struct {
	Name   string          `json:"name"`
	Size   int64           `json:"size"`
	SHA256 eventstore.Hash `json:"sha256"`          // of its bytes as they are in the archive
	Lines  int64           `json:"lines,omitempty"` // of its text, where it is text
}

// checkpointLine is a line of checkpoints.jsonl.
type checkpointLine struct {
	SignedAt time.Time `json:"signedAt"`
	Note     string    `json:"note"`
}
