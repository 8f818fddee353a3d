package system_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/joho/godotenv"

	"github.com/sentryagent/agentidp/server/upkeep"
)

func TestDevStartsEverythingAndStopsAllOfIt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dev")
	t.Cleanup(func() { removeData(t, dir) })
	port := freePort(t)

	p := startDev(t, dir, port)
	operator := mustBePrivateAndComplete(t, dir, port)
	c := newClient(t, operator.BaseURL)
	c.healthy(t, patience)
	token := c.mustToken(t, operator.ClientID, operator.ClientSecret, "admin:orgs agents:read agents:write audit:read")
	organization := c.must(t, http.StatusCreated, http.MethodPost, "/api/v1/organizations", token, map[string]any{"name": "Kept", "slug": "kept"}).
		text("organizationId")
	if told := launchAs(t, devProgram, nil, "demo", "--dir", dir).wait(t, patience); told.code != exitOK || !strings.Contains(told.stdout, "Using the server at "+operator.BaseURL) {
		t.Errorf("demo beside dev: code %d\n%s%s", told.code, told.stdout, told.stderr)
	}
	mustStopWithAll(t, p, syscall.SIGTERM)

	port = freePort(t) // and so at another address
	operator.BaseURL = "http://localhost:" + strconv.Itoa(port)
	c = newClient(t, operator.BaseURL)
	p = startDev(t, dir, port)
	if again := mustBePrivateAndComplete(t, dir, port); again != operator {
		t.Errorf("the operator of the second start: %+v, want that of the first: %+v", again, operator)
	}
	token = c.mustToken(t, operator.ClientID, operator.ClientSecret, "admin:orgs")
	if kept := c.must(t, http.StatusOK, http.MethodGet, "/api/v1/organizations/"+organization, token, nil); kept.text("slug") != "kept" {
		t.Errorf("the organization of the first start: %v", kept)
	}
	mustStopWithAll(t, p, syscall.SIGINT)
}

func startDev(t *testing.T, dir string, port int) *process {
	t.Helper()
	p := launchAs(t, devProgram, []string{"PORT=" + strconv.Itoa(port), "JWT_SIGNING_ALG=ES256", "TMPDIR=" + os.TempDir()}, "dev", "--dir", dir)
	p.awaitOutput(t, &p.stdout, "Ctrl-C stops everything.")
	return p
}

// mustBePrivateAndComplete checks the files that dev writes for its user.
func mustBePrivateAndComplete(t *testing.T, dir string, port int) upkeep.Operator {
	t.Helper()
	texts := map[string]string{}
	for _, name := range []string{"env", "operator.json", "netrc", "master.key"} {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, mode)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	env, err := godotenv.Unmarshal(texts["env"])
	if err != nil || !strings.HasPrefix(env["DATABASE_URL"], "postgres://") || !strings.HasPrefix(env["REDIS_URL"], "redis://") {
		t.Errorf("env holds %d settings (%v), want DATABASE_URL and REDIS_URL", len(env), err)
	}
	if live := runToEnd(t, nil, "--env-file", filepath.Join(dir, "env"), "ledger", "verify", "--live"); live.code != exitOK {
		t.Errorf("with these settings alone the ledger is not verified: code %d\n%s%s", live.code, live.stdout, live.stderr)
	}
	var fields map[string]string
	if err := json.Unmarshal([]byte(texts["operator.json"]), &fields); err != nil {
		t.Fatalf("operator.json: %v", err)
	}
	for _, name := range []string{"clientId", "clientSecret", "organizationId", "baseUrl"} {
		if fields[name] == "" {
			t.Errorf("operator.json has no %s", name)
		}
	}
	operator := upkeep.Operator{ClientID: fields["clientId"], ClientSecret: fields["clientSecret"],
		OrganizationID: fields["organizationId"], BaseURL: fields["baseUrl"]}
	if want := "http://localhost:" + strconv.Itoa(port); operator.BaseURL != want {
		t.Errorf("baseUrl %q, want %q", operator.BaseURL, want)
	}
	if want := fmt.Sprintf("machine localhost login %s password %s\n", operator.ClientID, operator.ClientSecret); texts["netrc"] != want {
		t.Error("netrc does not have the operator's name and secret")
	}
	return operator
}

// mustStopWithAll ends a process and sees that nothing which it started lives on.
func mustStopWithAll(t *testing.T, p *process, s syscall.Signal) {
	t.Helper()
	children := descendants(t, p.cmd.Process.Pid)
	const atLeast = 2 // PostgreSQL and Redis, and what PostgreSQL itself has started
	if len(children) < atLeast {
		t.Errorf("dev has started %d processes, want at least %d", len(children), atLeast)
	}
	p.signal(t, s)
	if r := p.wait(t, patience); r.code != exitOK {
		t.Errorf("after %s: code %d, want 0\n%s%s", s, r.code, r.stdout, r.stderr)
	}
	await(t, "what dev has started to be gone", func(context.Context) error {
		for _, pid := range children {
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("process %d lives on", pid)
			}
		}
		return nil
	})
}

// descendants are the processes that a process has started, and theirs.
func descendants(t *testing.T, of int) []int {
	t.Helper()
	list, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	for line := range strings.Lines(string(list)) {
		var pid, parent int
		if _, err := fmt.Sscan(line, &pid, &parent); err != nil {
			t.Fatalf("ps printed %q: %v", line, err)
		}
		children[parent] = append(children[parent], pid)
	}
	var all []int
	for next := []int{of}; len(next) > 0; next = next[1:] {
		all = append(all, children[next[0]]...)
		next = append(next, children[next[0]]...)
	}
	return all
}

// removeData removes what dev keeps elsewhere where the unprivileged user of
// its services cannot reach the directory.
func removeData(t *testing.T, dir string) {
	t.Helper()
	location, err := os.ReadFile(filepath.Join(dir, "data-location"))
	if err == nil {
		err = os.RemoveAll(strings.TrimSpace(string(location)))
	}
	if err != nil {
		t.Errorf("remove the data: %v", err)
	}
}
