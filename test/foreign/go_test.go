package foreign_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// TestGoClients runs the tests of the module in the folder go, each of which is
// about one library.
func TestGoClients(t *testing.T) {
	need(t, "go")
	s := newScene(t)
	prepare(t, "compiling the Go clients", program(t, "go", nil, "go", "test", "-run", "^$", "./..."))
	command := program(t, "go", s.environ(t), "go", "test", "-json", "-count=1", "./...")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	ran := command.Run()
	var exit *exec.ExitError
	if ran != nil && !errors.As(ran, &exit) {
		t.Fatal(ran)
	}
	report := readReport(t, &stdout)
	if ran != nil && !report.tell(t, "") || len(report.verdicts) == 0 {
		t.Errorf("%s: %v\n%s%s", command, ran, report.output[""], stderr.String())
	}
}

// goReport is what `go test -json` says of tests, by their name ("Test/sub").
type goReport struct {
	names    []string // in the order in which they began
	verdicts map[string]string
	output   map[string]string // of no test: under ""
}

func readReport(t *testing.T, stdout *bytes.Buffer) goReport {
	t.Helper()
	report := goReport{verdicts: map[string]string{}, output: map[string]string{}}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var event struct{ Action, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("go test -json: %v: %s", err, lines.Text())
		}
		switch event.Action {
		case "run":
			report.names = append(report.names, event.Test)
		case "output", "build-output":
			report.output[event.Test] += event.Output
		case "pass", "fail", "skip":
			if event.Test != "" {
				report.verdicts[event.Test] = event.Action
			}
		}
	}
	return report
}

// tell makes each test below a name a test of t, and says whether one failed.
func (r goReport) tell(t *testing.T, parent string) (failed bool) {
	t.Helper()
	for _, name := range r.names {
		below, inside := strings.CutPrefix(name, parent)
		if !inside || strings.Contains(below, "/") {
			continue
		}
		passed := t.Run(strings.TrimPrefix(below, "Test"), func(t *testing.T) {
			r.tell(t, name+"/")
			if r.verdicts[name] != "pass" {
				t.Errorf("%s", r.output[name])
			}
		})
		failed = failed || !passed
	}
	return failed
}
