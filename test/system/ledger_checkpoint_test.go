package system_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/projections/transparency"
)

func TestCheckpointsAreSignedAtTheCommandLine(t *testing.T) {
	t.Parallel()
	memory := filepath.Join(t.TempDir(), "signed")
	w := newWorld(t, "CHECKPOINT_FILE="+memory)
	s := w.serve(t) // derives the logs
	token := s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "admin:orgs audit:read")
	s.must(t, 200, "GET", "/api/v1/organizations/"+w.operator.OrganizationID+"/checkpoint", token, nil) // has waited for them

	signed := runToEnd(t, w.settings, "ledger", "checkpoint")
	key := strings.TrimSpace(runToEnd(t, w.settings, "ledger", "checkpoint", "--key").stdout)
	c, err := transparency.OpenCheckpoint([]byte(signed.stdout), key)
	if err != nil || signed.code != exitOK || c.Origin != "agentidp.test/ledger" || c.Size == 0 {
		t.Fatalf("checkpoint: code %d, %v (%v)\n%s%s", signed.code, c, err, signed.stdout, signed.stderr)
	}
	ofOrganization := runToEnd(t, w.settings, "ledger", "checkpoint", "--json", "--organization", w.operator.OrganizationID)
	var shown shownCheckpoint
	if err := json.Unmarshal([]byte(ofOrganization.stdout), &shown); err != nil {
		t.Fatalf("%v: %s%s", err, ofOrganization.stdout, ofOrganization.stderr)
	}
	if c, err := transparency.OpenCheckpoint([]byte(shown.Checkpoint), shown.VerifierKey); err != nil || c.Size != shown.TreeSize {
		t.Errorf("the organization's: %+v (%v)", shown, err)
	}
	s.kill(t)

	if err := os.Remove(memory); err != nil {
		t.Fatal(err)
	}
	if r := runToEnd(t, w.settings, "ledger", "checkpoint"); r.code != exitFailed || !strings.Contains(r.stderr, "--adopt") {
		t.Errorf("without what was remembered: code %d, %q; want 1 and what to do", r.code, r.stderr)
	}
	adopting := runToEnd(t, w.settings, "ledger", "checkpoint", "--adopt")
	if adopting.code != exitOK || adopting.stdout != signed.stdout || !strings.Contains(adopting.stderr, "adopted agentidp.test/ledger") {
		t.Errorf("--adopt: code %d, %q, %q; want the checkpoint again", adopting.code, adopting.stdout, adopting.stderr)
	}

	if err := os.WriteFile(memory, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"a damaged memory":   {},
		"no organization":    {"--organization", "acme"},
		"an empty log":       {"--organization", uuid.NewString()},
		"an unknown flag":    {"--frobnicate"},
		"too many arguments": {"now"},
	} {
		if r := runToEnd(t, w.settings, append([]string{"ledger", "checkpoint"}, args...)...); r.code != exitBadUsage || r.stdout != "" || r.stderr == "" {
			t.Errorf("%s: code %d, %q, %q; want 2 and why", name, r.code, r.stdout, r.stderr)
		}
	}
}
