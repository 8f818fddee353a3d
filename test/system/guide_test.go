package system_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the auditor's guide says is typed as a reader would, in a folder as make
// run leaves it.
func TestTheAuditorsGuideWorks(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/guides/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range shellBlock.FindAllSubmatch(guide, -1) {
		script.Write(block[1])
	}
	a := newAuditor(t)
	for name, target := range map[string]string{"bin/agentidp": program, "docs/verify.py": "../../docs/verify.py"} {
		target, err := filepath.Abs(target)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(a.path(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, a.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(a.path(".agentidp"), 0o700); err != nil {
		t.Fatal(err)
	}
	operator := a.operator
	operator.BaseURL = a.serve(t).base
	leaveOperator(t, a.path(".agentidp"), operator)
	settings := append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}, a.settings...)
	a.write(t, ".agentidp/env", strings.Join(a.settings, "\n")+"\n")
	shell := exec.CommandContext(t.Context(), "sh", "-eu")
	shell.Dir, shell.Env, shell.Stdin = a.dir, settings, strings.NewReader(script.String())
	output, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("the guide's commands: %v\n%s", err, output)
	}
	for _, want := range []string{"ledger.bundle: ", "intact: ", "signed by agentidp.test/ledger", "proven: event ", `{"position":1,"hash":"`} {
		if !strings.Contains(string(output), want) {
			t.Errorf("the guide's commands do not show %q:\n%s", want, output)
		}
	}
}
