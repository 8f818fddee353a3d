package system_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sentryagent/agentidp/server/servertest"
	"github.com/sentryagent/agentidp/server/upkeep"
)

// shellBlock is a fenced block of Markdown that readers are meant to type.
var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestTheReadmesJourneyWorks types what the README says, in one shell, as a
// reader does after make run.
func TestTheReadmesJourneyWorks(t *testing.T) {
	typed(t, "../../README.md",
		"401 for the old token", "401 for the old secret", "200 for the new token",
		"credential.rotated", "agent.created", `"verified":true`)
}

func TestTheComplianceGuidesJourneyWorks(t *testing.T) {
	typed(t, "../../docs/guides/compliance.md",
		": Audit Log Integrity", `"agntcy_schema_version":"1.0"`, `"identityProvider":`, `"possible":true`, `"code":"agent_suspended"`)
}

func TestTheRevocationGuidesJourneyWorks(t *testing.T) {
	typed(t, "../../docs/guides/revocation.md",
		"401 for the old token", "200 for a new one", "401 for the old secret", "200 for an agent that is back",
		`"credentials":true`, "organization.access_revoked", "    A laptop was stolen")
}

func TestTheDelegationGuidesJourneyWorks(t *testing.T) {
	typed(t, "../../docs/guides/delegation.md",
		"403 with a token of its own", "200 with what it was lent", "401 with what it was lent", `"status":"revoked"`, `"maxDepth":0`)
}

func TestTheDIDGuidesJourneyWorks(t *testing.T) {
	typed(t, "../../docs/guides/did.md",
		`"JsonWebKey2020"`, `"deactivated":false`, `#key-2"`, `"custody":"server"`, `"identityProvider":`, `"protocolBinding":"AgentIdP"`)
}

// typed types what a document says and looks for what it should show.
func typed(t *testing.T, document string, wants ...string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range shellBlock.FindAllSubmatch(text, -1) {
		script.Write(block[1])
	}
	w := servertest.NewWorld(t)
	dir := readersFolder(t, w)
	shell := exec.CommandContext(t.Context(), "sh", "-eu")
	shell.Dir, shell.Stdin = dir, strings.NewReader(script.String())
	output, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("the commands of %s: %v\n%s", document, err, output)
	}
	for _, want := range wants {
		if !bytes.Contains(output, []byte(want)) {
			t.Errorf("the commands of %s do not show %q:\n%s", document, want, output)
		}
	}
}

// readersFolder is a folder as make run leaves it, for a server that is up.
func readersFolder(t *testing.T, w *servertest.World) string {
	t.Helper()
	dir := t.TempDir()
	private := filepath.Join(dir, ".agentidp")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	operator := w.Operator
	operator.BaseURL = w.Serve(t)
	leaveOperator(t, private, operator)
	return dir
}

// leaveOperator leaves what readers use of the operator.
func leaveOperator(t *testing.T, private string, operator upkeep.Operator) {
	t.Helper()
	text, err := json.MarshalIndent(operator, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(operator.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	netrc := fmt.Sprintf("machine %s login %s password %s\n", base.Hostname(), operator.ClientID, operator.ClientSecret)
	for name, content := range map[string]string{"operator.json": string(text), "netrc": netrc} {
		if err := os.WriteFile(filepath.Join(private, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
