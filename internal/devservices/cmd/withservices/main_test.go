package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandGetsServicesAndItsExitCodeIsPassedOn(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	script := `echo $AGENTIDP_TEST_DATABASE_URL; echo $AGENTIDP_TEST_REDIS_URL; read line; echo $line; exit 7`
	got := run([]string{"--", "sh", "-c", script}, strings.NewReader("hello\n"), &stdout, &stderr)
	lines := strings.Split(stdout.String(), "\n")
	if got != 7 || len(lines) != 4 || !strings.HasPrefix(lines[0], "postgres://postgres:") ||
		!strings.HasPrefix(lines[1], "redis://:") || lines[2] != "hello" {
		t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s", got, &stdout, &stderr)
	}
}

func TestCommandThatCannotRun(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--"}, {"/does/not/exist"}} {
		var stderr bytes.Buffer
		if got := run(args, strings.NewReader(""), &stderr, &stderr); got != exitNotRun || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d, stderr %q", args, got, &stderr)
		}
	}
}
