package system_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestLedgerStateTellsWhatWasSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.operator.ClientID

	text := runToEnd(t, w.settings, "ledger", "state", "agent", agent)
	for _, want := range []string{"agent " + agent, "organization " + w.operator.OrganizationID, "agent.created, position ", "It could get tokens, with the scopes: admin:orgs"} {
		if text.code != exitOK || !strings.Contains(text.stdout, want) {
			t.Errorf("code %d, want %q in\n%s%s", text.code, want, text.stdout, text.stderr)
		}
	}
	told := runToEnd(t, w.settings, "ledger", "state", "agent", agent, "--json")
	var state struct {
		Agent struct {
			Facts map[string]struct {
				Value any
				Event struct {
					Type, Hash string
					Position   int
				}
			}
		}
		Credentials []struct{ ID uuid.UUID }
		Tokens      struct{ Possible bool }
	}
	if err := json.Unmarshal([]byte(told.stdout), &state); err != nil || told.code != exitOK {
		t.Fatalf("code %d, %v:\n%s%s", told.code, err, told.stdout, told.stderr)
	}
	status := state.Agent.Facts["status"]
	if status.Value != "active" || status.Event.Type != "agent.created" || len(status.Event.Hash) != 64 || !state.Tokens.Possible || len(state.Credentials) != 1 {
		t.Errorf("got %+v", state)
	}
	born := fmt.Sprint(status.Event.Position)
	without := runToEnd(t, w.settings, "ledger", "state", "agent", agent, "--at", born)
	if without.code != exitOK || !strings.Contains(without.stdout, "because the agent had no credential") {
		t.Errorf("at its birth: code %d\n%s%s", without.code, without.stdout, without.stderr)
	}
	other := w.serve(t).tenant(t, w)
	for kind, id := range map[string]string{"organization": other.organization, "credential": other.credential, "agent": other.agent} {
		r := runToEnd(t, w.settings, "ledger", "state", kind, id)
		if r.code != exitOK || !strings.Contains(r.stdout, "\n"+kind+" "+id) {
			t.Errorf("%s: code %d\n%s%s", kind, r.code, r.stdout, r.stderr)
		}
	}
}

func TestLedgerStateExitCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.operator.ClientID
	for name, test := range map[string]struct {
		settings []string
		args     []string
		code     int
		says     string
	}{
		"no such agent":      {w.settings, []string{"agent", uuid.NewString()}, exitFailed, "there is no such agent"},
		"too early":          {w.settings, []string{"agent", agent, "--at", "1"}, exitFailed, "it was created at"},
		"no such delegation": {w.settings, []string{"delegation", uuid.NewString()}, exitFailed, "there is no such delegation"},
		"no such kind":       {w.settings, []string{"webhook", agent}, exitBadUsage, "none of agent"},
		"no id":              {w.settings, []string{"agent"}, exitBadUsage, "needs a kind and an id"},
		"no UUID":            {w.settings, []string{"agent", "7"}, exitBadUsage, "UUID"},
		"no moment":          {w.settings, []string{"agent", agent, "--at", "noon"}, exitBadUsage, "at must be"},
		"no such position":   {w.settings, []string{"agent", agent, "--at", "100000"}, exitBadUsage, "position of no event"},
		"no database": {slices.Concat(w.settings[1:], []string{"DATABASE_URL=postgres://a:b@127.0.0.1:1/x"}), []string{"agent", agent},
			exitBadUsage, "cannot be reached"},
	} {
		r := runToEnd(t, test.settings, append([]string{"ledger", "state"}, test.args...)...)
		if r.code != test.code || !strings.Contains(r.stderr, test.says) || r.stdout != "" {
			t.Errorf("%s: code %d, want %d and %q\n%s%s", name, r.code, test.code, test.says, r.stdout, r.stderr)
		}
	}
}

// An auditor who has a bundle and the pinned key, and nothing else, is told what the
// ledger tells: lent authority and roles included.
func TestLedgerStateFromABundle(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	s := a.serve(t)
	lender := s.tenant(t, a.world)
	borrower := s.must(t, 201, "POST", "/api/v1/agents", lender.operatorToken, lender.registration("borrower")).text("agentId")
	credential := s.must(t, 201, "POST", "/api/v1/agents/"+borrower+"/credentials", lender.operatorToken, map[string]any{}).text("credentialId")
	s.must(t, 201, "POST", "/api/v1/organizations/"+lender.organization+"/members", lender.operatorToken, map[string]any{"agentId": borrower, "role": "admin"})
	own := s.mustToken(t, lender.agent, lender.secret, "")
	chain := s.must(t, 201, "POST", "/api/v1/oauth2/token/delegate", own, map[string]any{
		"delegateeAgentId": borrower, "scopes": []string{"agents:read"}, "ttlSeconds": 3600,
	}).text("chainId")
	s.must(t, 200, "PATCH", "/api/v1/agents/"+lender.agent, lender.operatorToken, map[string]any{"status": "suspended"})
	s.must(t, 200, "GET", "/api/v1/organizations/"+lender.organization+"/checkpoint", lender.operatorToken, nil) // has waited for the logs
	s.kill(t)
	a.must(t, exitOK, "checkpoint")
	a.must(t, exitOK, "export", "-o", a.path("bundle"))
	a.must(t, exitOK, "checkpoint", "--organization", lender.organization)
	a.must(t, exitOK, "export", "-o", a.path("own"), "--organization", lender.organization)
	ownKey := strings.TrimSpace(a.must(t, exitOK, "checkpoint", "--key", "--organization", lender.organization).stdout)
	head := int(a.head(t))

	of := func(bundle, key string, args ...string) []string {
		return slices.Concat([]string{"state"}, args, []string{"--bundle", a.path(bundle), "--key", key})
	}
	for _, thing := range [][]string{{"agent", borrower}, {"agent", lender.agent}, {"organization", lender.organization}, {"credential", credential}, {"delegation", chain}, {"agent", a.operator.ClientID}} {
		for at := head; at > head-6; at-- {
			moment := append(slices.Clone(thing), "--json", "--at", fmt.Sprint(at))
			live := runToEnd(t, a.settings, append([]string{"ledger", "state"}, moment...)...)
			bundle := mustLedger(t, nil, live.code, of("bundle", a.key, moment...)...)
			if live.code != exitOK {
				if bundle.stderr != live.stderr {
					t.Errorf("%v: the bundle says %q, the ledger %q", moment, bundle.stderr, live.stderr)
				}
				continue
			}
			var got, want map[string]any
			if err := errors.Join(json.Unmarshal([]byte(bundle.stdout), &got), json.Unmarshal([]byte(live.stdout), &want)); err != nil {
				t.Fatal(err)
			}
			proof, _ := got["bundle"].(map[string]any)
			if proof["verified"] != true || proof["keyPinned"] != true || proof["checkedCount"] != float64(head) {
				t.Errorf("%v: proven by %v", moment, proof)
			}
			if delete(got, "bundle"); !reflect.DeepEqual(got, want) {
				t.Errorf("%v: the bundle tells\n%s\nthe ledger\n%s", moment, bundle.stdout, live.stdout)
			}
		}
	}
	before := fmt.Sprint(head - 1) // the lender was not suspended yet
	text := mustLedger(t, nil, exitOK, of("bundle", a.key, "agent", borrower, "--at", before)...).stdout
	for _, want := range []string{"by delegation " + chain, "from first-of-", "It was admin of its organization", ", position ", "\nintact: " + fmt.Sprint(head) + " events of agentidp.test/ledger; "} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
	part := mustLedger(t, nil, exitOK, of("own", ownKey, "agent", borrower)...).stdout
	if !strings.Contains(part, "It was admin of its organization") || strings.Contains(part, ", position ") || !strings.Contains(part, "because the agent was suspended") {
		t.Errorf("the organization's bundle tells\n%s", part)
	}

	content, err := os.ReadFile(a.path("bundle"))
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "cut", string(content[:len(content)/2]))
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no key":           {[]string{"state", "agent", borrower, "--bundle", a.path("bundle")}, exitBadUsage, "unproven: no pinned key"},
		"another's key":    {of("bundle", ownKey, "agent", borrower), exitBadUsage, "the verifier key is of"},
		"cut off":          {of("cut", a.key, "agent", borrower), exitBadUsage, "not an intact bundle"},
		"no bundle":        {of("none", a.key, "agent", borrower), exitBadUsage, "no such file"},
		"no such agent":    {of("bundle", a.key, "agent", uuid.NewString()), exitFailed, "there is no such agent"},
		"another's agent":  {of("own", ownKey, "agent", a.operator.ClientID), exitFailed, "only what organization " + lender.organization + " has"},
		"a position in it": {of("own", ownKey, "agent", borrower, "--at", "3"), exitBadUsage, "at must be a time"},
		"after its end":    {of("bundle", a.key, "agent", borrower, "--at", "2126-01-01T00:00:00Z"), exitBadUsage, "newest event of the bundle"},
		"key alone":        {[]string{"state", "agent", borrower, "--key", a.key}, exitBadUsage, "go with --bundle"},
	} {
		r := mustLedger(t, nil, test.code, test.args...)
		if !strings.Contains(r.stderr, test.says) || name != "no key" && r.stdout != "" || strings.Contains(r.stdout, borrower) {
			t.Errorf("%s: %q, %q; want %q", name, r.stdout, r.stderr, test.says)
		}
	}
}
