package bundle

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Format names the one format of bundles there is; docs/ledger-format.md
// describes it byte by byte. A bundle is an uncompressed tar archive of
//
//	events/000000.jsonl.gz …  the records, one a line, in ledger order
//	entries/000000.bin …      the entries of the log, 32 bytes each
//	checkpoints.jsonl         every checkpoint that was signed of the log
//	verifier-key.txt          what they are verified with
//	manifest.json             what is above, with sizes and hashes
//
// in this order, numbers counting up.
const Format = "agentidp.bundle/1"

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

	// What a reader takes, whoever wrote the file: what a writer makes, and no
	// more. Only checkpoints are as many as were signed; they are read one by one.
	maxUnpacked = memberBytes + eventstore.MaxRecordSize + 1 // of a member of events
	maxPacked   = maxUnpacked + maxUnpacked/64 + 1<<10       // of the same, where it does not shrink
	maxMembers  = 1 << 15
	maxManifest = 16 << 20
	maxKey      = 4 << 10
	maxLine     = 64 << 10 // of checkpoints
	maxReaders  = 4        // of members at once

	// maxCredentials bounds how many are remembered of a bundle, which may be anybody's:
	// some 20 MiB. Tokens of a bundle with more are not held against them.
	maxCredentials = 1 << 18
)

// ErrDamaged: a file is no bundle, or a damaged one. It proves nothing, neither
// that the ledger is intact nor that it is broken.
var ErrDamaged = errors.New("not an intact bundle")

// maxSize is how large a member may be by its name; 0: there is no such member.
func maxSize(name string) int64 {
	switch {
	case strings.HasPrefix(name, "events/"):
		return maxPacked
	case strings.HasPrefix(name, "entries/"):
		return memberEntries * int64(len(eventstore.Hash{}))
	case name == checkpointsMember:
		return math.MaxInt64
	case name == keyMember:
		return maxKey
	case name == manifestMember:
		return maxManifest
	}
	return 0
}

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
