package system_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const (
	address      = "PUBLIC_URL=http://agentidp.test"
	otherAddress = "PUBLIC_URL=http://other.test"
)

// Two nodes with different addresses would refuse each other's tokens.
func TestTwoNodesAgreeOnTheirAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "LOG_LEVEL=error")
	for setting, values := range map[string][2]string{
		otherAddress:                      {"http://other.test", "http://agentidp.test"},
		"OIDC_ISSUER=http://issuer.test":  {"http://issuer.test", "http://agentidp.test"},
		"DID_WEB_DOMAIN=did.test":         {"did.test", "agentidp.test"},
		"LEDGER_ORIGIN=origin.test:12345": {"origin.test:12345", "agentidp.test"},
	} {
		first := w.serve(t, "LOG_LEVEL=info")
		name, _, _ := strings.Cut(setting, "=")
		second := w.launchServer(t, freePort(t), setting)
		mustFail(t, second.wait(t, patience), exitFailed, name+` is "`+values[0]+`" here and "`+values[1]+`" there`, "agentidp settings adopt")
		w.serve(t, "LOG_LEVEL=info").signal(t, syscall.SIGTERM) // one with the same settings is welcome
		first.signal(t, syscall.SIGTERM)
		first.wait(t, patience)
	}
}

func TestTheAddressIsChangedOnPurpose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	changed := append(append([]string{}, w.settings...), otherAddress)
	s := w.serve(t)
	if r := runToEnd(t, changed, "settings", "adopt"); r.code != exitBadUsage || !strings.Contains(r.stderr, "stop all servers first") {
		t.Errorf("beside a server: code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
	s.signal(t, syscall.SIGTERM)
	s.wait(t, patience)
	if r := runToEnd(t, changed, "settings", "adopt"); r.code != exitOK || !strings.Contains(r.stdout, "PUBLIC_URL is http://other.test now, it was http://agentidp.test\n") {
		t.Errorf("code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := runToEnd(t, changed, "settings", "adopt"); r.code != exitOK || !strings.HasPrefix(r.stdout, "nothing to do") {
		t.Errorf("again: code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	w.serve(t, otherAddress).mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
	if r := w.launchServer(t, freePort(t), address).wait(t, patience); r.code != exitFailed || !strings.Contains(r.stderr, "PUBLIC_URL") {
		t.Errorf("with the address of before: code %d\n%s", r.code, lastLines(r.stderr))
	}
}

// A server that was overlooked, frozen at that, must not go on with what the
// others have left.
func TestAServerThatMissedTheChangeStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	s.signal(t, syscall.SIGSTOP)
	changed := append(append([]string{}, w.settings...), otherAddress)
	await(t, "the frozen server to lose its leases", func(context.Context) error {
		if r := runToEnd(t, changed, "settings", "adopt"); r.code != exitOK {
			return fmt.Errorf("code %d: %s", r.code, r.stderr)
		}
		return nil
	})
	s.signal(t, syscall.SIGCONT)
	if r := s.wait(t, patience); r.code == exitOK || !strings.Contains(r.stderr, "agentidp settings adopt") {
		t.Errorf("the server ended with code %d:\n%s", r.code, lastLines(r.stderr))
	}
}

// Of servers that are the first ones at once, all agree or some do not start.
func TestFirstNodesAgreeOnTheirAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.launchServer(t, freePort(t), address), w.launchServer(t, freePort(t), otherAddress)
	await(t, "one of them to give way", func(context.Context) error {
		serving := strings.Count(a.stderr.String()+b.stderr.String(), `"msg":"serving"`)
		refused := strings.Count(a.stderr.String()+b.stderr.String(), "agentidp settings adopt")
		if serving != 1 || refused != 1 {
			return fmt.Errorf("%d serve, %d have been refused", serving, refused)
		}
		return nil
	})
}

// What signs or writes the address and names into the ledger has those of the servers.
func TestCommandsAgreeOnTheAddressOfTheServers(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	for setting, name := range map[string]string{
		otherAddress: "PUBLIC_URL", "OIDC_ISSUER=http://issuer.test": "OIDC_ISSUER", "DID_WEB_DOMAIN=did.test": "DID_WEB_DOMAIN", "LEDGER_ORIGIN=origin.test": "LEDGER_ORIGIN",
	} {
		changed := append(slices.Clone(a.settings), setting)
		names := setting == otherAddress || name == "LEDGER_ORIGIN" // the logs
		for _, command := range []struct {
			args    []string
			refused int
		}{
			{[]string{"bootstrap"}, exitFailed},
			{[]string{"bootstrap", "--new-credential"}, exitFailed},
			{[]string{"ledger", "checkpoint"}, exitBadUsage},
			{[]string{"ledger", "checkpoint", "--key"}, exitBadUsage},
			{[]string{"ledger", "checkpoint", "--organization", a.operator.OrganizationID}, exitBadUsage},
			{[]string{"ledger", "export", "-o", a.path("changed")}, exitBadUsage},
			{[]string{"ledger", "verify", "--live"}, exitBadUsage},
		} {
			reads := slices.Contains(command.args, "export") || slices.Contains(command.args, "verify")
			r := runToEnd(t, changed, command.args...)
			if reads && !names {
				if r.code != exitOK {
					t.Errorf("%s: %v: code %d, %s", setting, command.args, r.code, r.stderr)
				}
				continue
			}
			if reads {
				name = "LEDGER_ORIGIN" // which follows from PUBLIC_URL
			}
			if r.code != command.refused || r.stdout != "" || !strings.Contains(r.stderr, name+` is "`) || !strings.Contains(r.stderr, "agentidp settings adopt") {
				t.Errorf("%s: %v: code %d, want %d and why\n%s%s", setting, command.args, r.code, command.refused, r.stdout, r.stderr)
			}
		}
	}
	// By a pinned key the ledger is known whatever is set here.
	mustLedger(t, append(slices.Clone(a.settings), otherAddress), exitOK, "verify", "--live", "--key", a.key)
	a.must(t, exitOK, "checkpoint")
}

// Whoever has pinned the key of the ledger has those of all its logs, without the
// key that signs, without settings and without a database.
func TestAPinnedKeyGivesTheKeysOfAllLogs(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	a.write(t, "key", a.key+"\n")
	own := a.must(t, exitOK, "checkpoint", "--key", "--organization", a.operator.OrganizationID).stdout
	a.write(t, "own", own)
	for _, pinned := range []string{a.key, a.path("key"), a.path("own")} {
		if r := mustLedger(t, nil, exitOK, "checkpoint", "--key", pinned, "--organization", a.operator.OrganizationID); r.stdout != own {
			t.Errorf("of the organization: %q, want %q", r.stdout, own)
		}
		if r := mustLedger(t, nil, exitOK, "checkpoint", "--key", pinned); r.stdout != a.key+"\n" {
			t.Errorf("of the ledger: %q, want %q", r.stdout, a.key)
		}
	}
	for says, args := range map[string][]string{
		"neither a file":                         {"checkpoint", "--key", a.path("none")},
		"are not those of its name":              {"checkpoint", "--key", mistyped(a.key)},
		"must be the id of an organization":      {"checkpoint", "--key", a.path("key"), "--organization", "acme"},
		"only --key takes a pinned key":          {"checkpoint", a.path("key")},
		`takes no "` + a.path("own"):             {"checkpoint", "--key", a.path("key"), a.path("own")},
		"DATABASE_URL":                           {"checkpoint", "--key"},
		"not the verifier key of a ledger's log": {"checkpoint", "--key", "example.com+d0a02b1c+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"},
	} {
		if r := mustLedger(t, nil, exitBadUsage, args...); !strings.Contains(r.stderr, says) || r.stdout != "" {
			t.Errorf("%v: %q, %q; want %q", args, r.stdout, r.stderr, says)
		}
	}
}
