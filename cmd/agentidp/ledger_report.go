package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/replay/verify"
)

// shownReport is the form for scripts.
type shownReport struct {
	Verified    bool            `json:"verified"`
	Checked     int64           `json:"checkedCount"`
	Signed      int64           `json:"signedCount"` // of all events up to here, those that a checkpoint covers
	Origin      string          `json:"origin"`
	VerifierKey string          `json:"verifierKey"`
	Pinned      bool            `json:"keyPinned"`
	TreeSize    int64           `json:"treeSize"`
	RootHash    string          `json:"rootHash"`
	Checkpoint  *shownAgreed    `json:"checkpoint"`
	Extends     []shownExtended `json:"extends"`       // checkpoints that were kept and that the events agree with
	Tokens      bool            `json:"tokensChecked"` // against the credentials they were issued under
	Unproven    string          `json:"unproven,omitempty"`
	Break       *verify.Finding `json:"break"`

	live, incremental bool
	unsignedTail      bool // is accepted
}

// shownAgreed is the newest checkpoint that the events agree with.
type shownAgreed struct {
	TreeSize int64     `json:"treeSize"`
	RootHash string    `json:"rootHash"`
	SignedAt time.Time `json:"signedAt,omitzero"`
}

// shownExtended is a checkpoint that somebody kept.
type shownExtended struct {
	File     string `json:"file"`
	TreeSize int64  `json:"treeSize"`
	RootHash string `json:"rootHash"`
}

// tell prints what was found. The error is the finding, or what is not proven,
// for the exit code.
func tell(w io.Writer, shown shownReport, report verify.Report, against []keptCheckpoint, json bool) (err error) {
	shown.fill(report, against)
	switch {
	case json:
		err = printJSON(w, shown)
	case report.Break != nil:
		_, err = io.WriteString(w, describe(report.Break))
	default:
		_, err = io.WriteString(w, shown.text())
	}
	switch {
	case report.Break != nil:
		err = errors.Join(brokenError{report.Break.Kind}, err)
	case err == nil && shown.Unproven != "":
		err = command.Unchecked(errors.New(shown.Unproven))
	}
	return err
}

// fill takes over what was found, and judges it.
func (shown *shownReport) fill(report verify.Report, against []keptCheckpoint) {
	shown.Checked, shown.Signed, shown.Break, shown.Tokens = report.Checked, report.Signed(), report.Break, report.Tokens
	shown.TreeSize, shown.RootHash = report.TreeSize, base64.StdEncoding.EncodeToString(report.Root[:])
	if c := report.Checkpoint; c != nil {
		shown.Checkpoint = &shownAgreed{c.Size, base64.StdEncoding.EncodeToString(c.Root[:]), c.SignedAt}
	}
	shown.Extends = []shownExtended{}
	if report.Break == nil {
		for _, kept := range against {
			shown.Extends = append(shown.Extends, shownExtended{kept.path, kept.Size, base64.StdEncoding.EncodeToString(kept.Root[:])})
		}
		shown.Unproven = shown.unproven()
	}
	shown.Verified = report.Break == nil && shown.Unproven == ""
}

// unproven is why events that hold together are not proven; "" when they are. The
// running ledger has a key of its own and a tail that is signed within a minute.
func (s shownReport) unproven() string {
	switch tail := s.Checked - s.Signed; {
	case s.live:
		return ""
	case !s.Pinned:
		return "unproven: no pinned key. Name the key that you got from the operators by another way than the bundle: --key FILE"
	case s.Checkpoint == nil:
		return "unproven: there is no checkpoint in it that this key signed"
	case tail > 0 && !s.unsignedTail:
		return fmt.Sprintf("unproven: the last %d of %d events are not signed. Ask for an export that was made after \"agentidp ledger checkpoint\", "+
			"or accept them as they are with --unsigned-tail", tail, s.Checked)
	}
	return ""
}

// brokenError is a ledger that is not intact; what is wrong has been printed.
type brokenError struct{ kind verify.Kind }

func (e brokenError) Error() string {
	return fmt.Sprintf("BROKEN: %s; docs/runbooks/broken-chain.md says what to do", e.kind)
}

func (s shownReport) text() string {
	text := fmt.Sprintf("intact: %d events of %s; %d of them are signed", s.Checked, s.Origin, s.Signed)
	switch before := s.TreeSize - s.Checked; {
	case s.Unproven != "":
		text = fmt.Sprintf("unproven: %d events of %s hold together; %d of them are signed", s.Checked, s.Origin, s.Signed)
	case s.incremental && s.Checked == 0:
		text = fmt.Sprintf("intact: no events of %s have come after the first %d, which were verified before", s.Origin, before)
	case s.incremental && before > 0:
		text = fmt.Sprintf("intact: %d events of %s, those after the first %d, which were verified before", s.Checked, s.Origin, before)
	}
	text += "\n" + s.tokens()
	c := s.Checkpoint
	if c == nil {
		return text + "\nno checkpoint has been signed of it yet\n"
	}
	text += fmt.Sprintf("\nagrees with what was signed with %d entries", c.TreeSize)
	if !c.SignedAt.IsZero() {
		text += " at " + c.SignedAt.UTC().Format(time.RFC3339)
	}
	if later := s.TreeSize - c.TreeSize; later > 0 {
		text += fmt.Sprintf("; %d later ones are not signed yet", later)
	}
	for _, kept := range s.Extends {
		text += fmt.Sprintf("\nand extends %s (%d entries), which you kept", kept.File, kept.TreeSize)
	}
	return text + "\n"
}

// tokens says whether each token was held against the credential it names.
func (s shownReport) tokens() string {
	switch {
	case s.Tokens:
		return "every token was issued under a credential that its agent had"
	case s.incremental:
		return "not checked: whether tokens were issued under credentials that their agents had. That takes a verification from the beginning"
	}
	return "not checked: whether tokens were issued under credentials that their agents had. There are too many credentials to remember"
}

func describe(f *verify.Finding) string {
	text := fmt.Sprintf("%s\n%s\n\n", f.Kind, f.Detail)
	line := func(name string, value any) { text += fmt.Sprintf("  %-14s%v\n", name, value) }
	line("index", f.Index)
	if f.Position != 0 {
		line("position", f.Position)
	}
	if f.EventID != uuid.Nil {
		line("event", f.EventID)
		line("stream", f.Stream)
		line("revision", f.Revision)
	}
	if f.Logged != nil {
		line("logged hash", f.Logged)
	}
	if f.Chain != nil {
		line("by its chain", f.Chain)
	}
	return text
}
