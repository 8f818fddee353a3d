package foreign_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// patience is how long one program may take on a busy machine.
const patience = 10 * time.Minute

// checked is the outcome of one check by a client, as a line of JSON that it
// writes to its standard output. Other lines are notes.
type checked struct {
	Check string `json:"check"`
	Error string `json:"error"` // empty when it holds
}

// runChecks runs a client and makes each of its checks a test of its own.
func runChecks(t *testing.T, client *exec.Cmd) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	client.Stdout, client.Stderr = &stdout, &stderr
	ran := client.Run()
	failed, count := false, 0
	lines := bufio.NewScanner(&stdout)
	lines.Buffer(nil, 1<<20) // what a library says of an error may be long
	for lines.Scan() {
		var result checked
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil || result.Check == "" {
			t.Log(lines.Text())
			continue
		}
		count++
		t.Run(result.Check, func(t *testing.T) {
			if result.Error != "" {
				failed = true
				t.Error(result.Error)
			}
		})
	}
	var exit *exec.ExitError
	switch {
	case ran != nil && !errors.As(ran, &exit):
		t.Fatalf("%s: %v", client, ran)
	case ran != nil && !failed:
		t.Errorf("%s: %v\n%s", client, ran, stderr.String())
	case count == 0:
		t.Errorf("%s checked nothing", client)
	}
	if stderr.Len() > 0 && !t.Failed() {
		t.Logf("on its standard error:\n%s", stderr.String())
	}
}

// program is a command with a bound on its time, killed when the test ends. Its
// environment is ours and what is added.
func program(t *testing.T, dir string, environ []string, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir, command.Env = dir, append(os.Environ(), environ...)
	command.WaitDelay = 5 * time.Second
	return command
}

// prepare runs a program that must succeed and tells how long it took.
func prepare(t *testing.T, what string, command *exec.Cmd) {
	t.Helper()
	began := time.Now()
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %s: %v\n%s", what, strings.Join(command.Args, " "), err, output)
	}
	t.Logf("%s: %.1f s", what, time.Since(began).Seconds())
}
