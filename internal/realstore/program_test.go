package realstore_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/internal/realstore"
)

// wireServer starts the wire server as somebody else's process, which is also the
// program that hurts it.
func wireServer(t *testing.T) (program, url string) {
	t.Helper()
	folder := t.TempDir()
	program = filepath.Join(folder, "wireserver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../eventstore/esdb/wiretest/wireserver").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv("WIRESERVER", filepath.Join(folder, "socket"))
	serve := exec.Command(program, "serve", "--nodes", "3")
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = serve.Process.Kill(); _ = serve.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return program, strings.TrimSpace(line)
}

func TestAProgramHurtsTheNodes(t *testing.T) {
	program, url := wireServer(t)
	p, err := realstore.NewProgram(t.Context(), program, url)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Nodes()) != 3 {
		t.Fatalf("nodes: %v", p.Nodes())
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	other := func(than realstore.Node) realstore.Node {
		t.Helper()
		leader, err := p.AwaitLeader(ctx, than)
		must(err)
		return leader
	}
	leader := other(realstore.Node{})
	must(p.Resign())
	leader = other(leader)
	must(p.Freeze(leader))
	second := other(leader)
	must(p.Wake(leader))
	must(p.Kill(second))
	third := other(second)
	must(p.Start(third)) // it runs
	must(p.Freeze(third))
	must(p.Heal())
	other(realstore.Node{})
	if err := p.Kill(realstore.Node{Name: "17"}); err == nil || !strings.Contains(err.Error(), "there is no node 17") {
		t.Errorf("a node that is not there: %v", err)
	}
}

func TestAProgramThatSaysNothingOfUse(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"true", "false", "/nowhere/at-all", "pwd"} {
		if _, err := realstore.NewProgram(t.Context(), program, "esdb://127.0.0.1:1?tls=false"); err == nil || !strings.Contains(err.Error(), "nodes") {
			t.Errorf("%s: %v", program, err)
		}
	}
}

func TestNamesThatSomebodyHasAreSeen(t *testing.T) {
	_, url := wireServer(t)
	server, err := realstore.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	name := realstore.Name()
	if version, err := server.Look(t.Context(), name); err != nil || !strings.HasPrefix(version, "23.10") {
		t.Errorf("version %q, %v", version, err)
	}
	config, err := client.ParseConnectionString(url)
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = client.NoopLogging()
	library, err := client.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	if _, err := library.AppendToStream(t.Context(), name+"/agent-1", client.AppendToStreamOptions{}, client.EventData{EventID: uuid.New(), EventType: "a.x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Look(t.Context(), name); err == nil || !strings.Contains(err.Error(), name+"/agent-1") {
		t.Errorf("%v, want that the stream is there", err)
	}
	if _, err := server.Look(t.Context(), name+"x"); err != nil {
		t.Error(err)
	}
}

// The sample script, with processes that are no servers.
func TestTheSampleScript(t *testing.T) {
	nodes := t.TempDir()
	var resigned []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		resigned = append(resigned, user+" "+r.Method+" "+r.URL.Path)
	}))
	defer server.Close()
	for _, name := range []string{"a", "b"} {
		folder := filepath.Join(nodes, name)
		if err := errors.Join(os.Mkdir(folder, 0o755),
			os.WriteFile(filepath.Join(folder, "address"), []byte(server.Listener.Addr().String()+"\n"), 0o644),
			os.WriteFile(filepath.Join(folder, "start"), []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("STORE_NODES", nodes)
	t.Setenv("STORE_HTTP", "http")
	p, err := realstore.NewProgram(t.Context(), "../../tools/store-faults.sh", "esdb://127.0.0.1:1?tls=false")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Nodes()) != 2 || p.Nodes()[0] != (realstore.Node{Name: "a", Address: server.Listener.Addr().String()}) {
		t.Fatalf("nodes: %v", p.Nodes())
	}
	a := p.Nodes()[0]
	process := func() int {
		text, err := os.ReadFile(filepath.Join(nodes, "a", "pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	state := func() string { // as /proc has it
		text, err := os.ReadFile("/proc/" + strconv.Itoa(process()) + "/stat")
		if err != nil {
			return "gone"
		}
		return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
	}
	await := func(what string, states ...string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			for _, s := range states {
				if state() == s {
					return
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the process is %s", what, state())
			}
		}
	}
	t.Cleanup(func() { _ = syscall.Kill(process(), syscall.SIGKILL) })
	for _, step := range []struct {
		what string
		do   func() error
		then []string
	}{
		{"start", func() error { return p.Start(a) }, []string{"S", "R"}},
		{"freeze", func() error { return p.Freeze(a) }, []string{"T"}},
		{"wake", func() error { return p.Wake(a) }, []string{"S", "R"}},
		{"freeze", func() error { return p.Freeze(a) }, []string{"T"}},
		{"kill", func() error { return p.Kill(a) }, []string{"gone", "Z"}},
		{"start again", func() error { return p.Start(a) }, []string{"S", "R"}},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		await(step.what, step.then...)
	}
	if err := p.Start(a); err != nil { // it runs
		t.Error(err)
	}
	if err := p.Resign(); err != nil || len(resigned) != 2 || resigned[0] != "admin POST /admin/node/resign" {
		t.Errorf("resigned: %v, %v", resigned, err)
	}
	if err := p.Freeze(realstore.Node{Name: "c"}); err == nil {
		t.Error("a node that is not there was frozen")
	}
}
