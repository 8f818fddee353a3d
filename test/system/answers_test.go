package system_test

import (
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/replay/move"
	"github.com/sentryagent/agentidp/replay/verify"
)

// What commands print with --json, as far as the tests look at it.

// shownReport is the answer of ledger verify.
type shownReport struct {
	Verified    bool
	Checked     int64 `json:"checkedCount"`
	Signed      int64 `json:"signedCount"`
	Origin      string
	VerifierKey string
	Pinned      bool `json:"keyPinned"`
	TreeSize    int64
	RootHash    string
	Checkpoint  *struct {
		TreeSize int64
		RootHash string
		SignedAt time.Time
	}
	Extends []struct {
		File     string
		TreeSize int64
		RootHash string
	}
	Tokens   bool `json:"tokensChecked"`
	Unproven string
	Break    *verify.Finding
}

// shownCheckpoint is the answer of ledger checkpoint.
type shownCheckpoint struct {
	Origin      string
	VerifierKey string
	TreeSize    int64
	RootHash    string
	SignedAt    time.Time
	Checkpoint  string
	Adopted     []string
}

// shownCopy is the answer of ledger copy.
type shownCopy struct {
	From, To         string
	Proven, Complete bool
	Copied           int64 `json:"copiedCount"`
	Events           int64 `json:"treeSize"`
	RootHash         string
	Organizations    []struct {
		ID       uuid.UUID `json:"organizationId"`
		TreeSize int64
		RootHash string
	}
	Difference *move.Difference
	Break      *eventstore.Break
}

// projectionState is a line of projections status.
type projectionState struct {
	Name, State         string
	Version, OwnVersion int
	Position            eventstore.Position
	Lag                 *uint64
	Behind              float64 `json:"behindSeconds"`
	Error               string
	Rebuild             *struct {
		Version  int
		Position eventstore.Position
	}
}

// rebuiltModel is a line of projections rebuild.
type rebuiltModel struct {
	Name        string
	Version     int
	ResumedFrom eventstore.Position
	Position    eventstore.Position
	Events      int64
	Error       string
}

// verifiedModel is a line of projections verify.
type verifiedModel struct {
	Name                    string
	Position                eventstore.Position
	Events, Rows, Different int64
	Differences             []projections.Difference
	Error                   string
}
