package devservices

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInstallRunsNothingAndPutsBackWhatItChanged(t *testing.T) {
	t.Parallel()
	for _, former := range []string{"", "#!/bin/sh\nexit 104\n"} {
		root := t.TempDir()
		policy := filepath.Join(root, "usr/sbin/policy-rc.d")
		if err := os.MkdirAll(filepath.Dir(policy), 0o755); err != nil {
			t.Fatal(err)
		}
		if former != "" {
			if err := os.WriteFile(policy, []byte(former), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(root, "run/systemd/system"), 0o755); err != nil {
			t.Fatal(err)
		}
		var commands []string
		broken := errors.New("no network")
		run := func(_ context.Context, name string, args ...string) error {
			commands = append(commands, strings.Join(append([]string{name}, args...), " "))
			text, err := os.ReadFile(policy)
			if err != nil || !strings.Contains(string(text), "exit 101") {
				t.Errorf("%s runs with policy-rc.d %q (%v), want one that forbids services", name, text, err)
			}
			cluster, err := os.ReadFile(filepath.Join(root, "etc/postgresql-common/createcluster.conf"))
			if err != nil || string(cluster) != "create_main_cluster = false\n" {
				t.Errorf("%s runs with createcluster.conf %q (%v)", name, cluster, err)
			}
			if name == "systemctl" {
				return broken
			}
			return nil
		}
		err := installer{root: root, run: run}.install(t.Context(), []string{"postgresql", "redis-server"})
		if !errors.Is(err, broken) {
			t.Errorf("error %v, want that of the last command", err)
		}
		want := []string{"apt-get update", "apt-get install -y --no-install-recommends postgresql redis-server",
			"systemctl disable postgresql redis-server"}
		if diff := cmp.Diff(want, commands); diff != "" {
			t.Errorf("commands -want +got:\n%s", diff)
		}
		text, err := os.ReadFile(policy)
		if string(text) != former || (former == "") != errors.Is(err, os.ErrNotExist) {
			t.Errorf("policy-rc.d afterwards %q (%v), want %q", text, err, former)
		}
	}
}

func TestPortThatIsTakenIsReplaced(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	port := taken
	var tried []int
	err = onFreePort(&port, func() error {
		tried = append(tried, port)
		if len(tried) < 3 {
			return errPortTaken
		}
		return nil
	})
	if err != nil || len(tried) != 3 || slices.Contains(tried, taken) || port != tried[2] {
		t.Errorf("tried %v, port %d, error %v; want three others than %d", tried, port, err, taken)
	}
}

func TestNewestVersionComesFirst(t *testing.T) {
	root := t.TempDir()
	t.Setenv("PATH", root)
	for _, dir := range []string{"9.6", "15", "16"} {
		bin := filepath.Join(root, dir, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"postgres", "initdb"} {
			if err := os.WriteFile(filepath.Join(bin, name), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, want := postgresBin(root), filepath.Join(root, "16", "bin"); got != want {
		t.Errorf("postgresBin = %s, want %s", got, want)
	}
}

func TestAbandonedTemporaryDirectoriesAreRemovedAndOthersKept(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                   string
		started, locked, found bool
	}{
		{"just made", false, false, true},
		{"in use", true, true, true},
		{"abandoned", true, false, false},
	} {
		dir := filepath.Join(t.TempDir(), tempPrefix)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if tc.started {
			if _, err := loadState(dir); err != nil {
				t.Fatal(err)
			}
		}
		if tc.locked {
			lock, err := lockDirectory(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
		}
		if err := removeUnused(dir); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if _, err := os.Stat(dir); (err == nil) != tc.found {
			t.Errorf("%s: stat afterwards %v, want found %v", tc.name, err, tc.found)
		}
	}
}
