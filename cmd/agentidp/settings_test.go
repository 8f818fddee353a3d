package main

import (
	"context"
	"fmt"
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
