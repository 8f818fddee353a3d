package main

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

	"github.com/sentryagent/agentidp/cmd/agentidp/app/apptest"
)

// shellBlock is a fenced block of Markdown that readers are meant to type.
var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestTheReadmesJourneyWorks types what the README says, in one shell, as a
// reader does after make run.
func TestTheReadmesJourneyWorks(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range shellBlock.FindAllSubmatch(readme, -1) {
		script.Write(block[1])
	}
	w := apptest.NewWorld(t)
	dir := readersFolder(t, w)
	shell := exec.CommandContext(t.Context(), "sh", "-eu")
	shell.Dir, shell.Stdin = dir, strings.NewReader(script.String())
	output, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("the README's commands: %v\n%s", err, output)
	}
	for _, want := range []string{
		"401 for the old token", "401 for the old secret", "200 for the new token",
		"credential.rotated", "agent.created", `"verified":true`,
	} {
		if !bytes.Contains(output, []byte(want)) {
			t.Errorf("the README's commands do not show %q:\n%s", want, output)
		}
	}
}

// readersFolder is a folder as make run leaves it, for a server that is up.
func readersFolder(t *testing.T, w *apptest.World) string {
	t.Helper()
	dir := t.TempDir()
	private := filepath.Join(dir, ".agentidp")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	operator := w.Operator
	operator.BaseURL = w.Serve(t)
	text, err := json.MarshalIndent(operator, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(operator.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	netrc := fmt.Sprintf("machine %s login %s password %s\n", base.Hostname(), operator.ClientID, operator.ClientSecret)
	for name, content := range map[string]string{operatorFile: string(text), netrcFile: netrc} {
		if err := writePrivate(filepath.Join(private, name), []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
