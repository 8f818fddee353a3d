package system_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// An address belongs to one agent of an organization. The server is killed after
// it was claimed and before there is an agent that has it.
func TestAnAddressThatWasClaimedAndCutOffIsFree(t *testing.T) {
	t.Parallel()
	onEachOwnEngine(t, cutOffAddressIsFree)
}

func cutOffAddressIsFree(t *testing.T, w *world) {
	s := w.serve(t)
	owner, other := s.tenant(t, w), s.tenant(t, w)
	const agents = "/api/v1/agents"
	registration, elsewhere := owner.registration("cut-off"), other.registration("cut-off")
	cutOff(t, w, s, "claim.made", "seat.taken", func(ctx context.Context) {
		_, _ = s.call(ctx, http.MethodPost, agents, owner.operatorToken, registration)
	})

	s = w.serveOn(t, s.port)
	begin := time.Now()
	theirs := s.must(t, http.StatusCreated, http.MethodPost, agents, other.operatorToken, elsewhere).text("agentId")
	agent := s.must(t, http.StatusCreated, http.MethodPost, agents, owner.operatorToken, registration).text("agentId")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("both took %s, want a few seconds", took)
	}
	for organization, want := range map[string]string{owner.organization: agent, other.organization: theirs} {
		list := s.must(t, http.StatusOK, http.MethodGet, agents+"?organizationId="+organization, owner.operatorToken, nil)
		if list.body["total"] != 2.0 || !strings.Contains(string(list.raw), want) {
			t.Errorf("agents of %s: %v, want the first and %s", organization, list, want)
		}
	}
	// It is taken in both, in every form of it.
	for _, again := range []map[string]any{owner.registration("cut-off"), other.registration("CUT-OFF")} {
		s.must(t, http.StatusConflict, http.MethodPost, agents, owner.operatorToken, again)
	}
	w.mustHoldInLedger(t, nil)
}

// Suspending a member is said on its organization's stream first. The server is
// killed before the agent is suspended.
func TestASuspensionThatWasCutOffSucceedsOnRetry(t *testing.T) {
	t.Parallel()
	onEachOwnEngine(t, cutOffSuspensionSucceedsOnRetry)
}

func cutOffSuspensionSucceedsOnRetry(t *testing.T, w *world) {
	s := w.serve(t)
	owner := s.tenant(t, w)
	members := "/api/v1/organizations/" + owner.organization + "/members"
	var paths, tokens [2]string // of two admins
	for i, name := range []string{"one", "another"} {
		registration := owner.registration(name)
		registration["scopes"] = []string{"agents:read", "agents:write"}
		id := s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, registration).text("agentId")
		paths[i] = "/api/v1/agents/" + id
		credential := s.must(t, http.StatusCreated, http.MethodPost, paths[i]+"/credentials", owner.operatorToken, map[string]any{})
		s.must(t, http.StatusCreated, http.MethodPost, members, owner.operatorToken, map[string]any{"agentId": id, "role": "admin"})
		tokens[i] = s.mustToken(t, id, credential.text("clientSecret"), "")
	}
	status := func(to string) map[string]any { return map[string]any{"status": to} }
	cutOff(t, w, s, "organization.member_suspended", "agent.suspended", func(ctx context.Context) {
		_, _ = s.call(ctx, http.MethodPatch, paths[1], tokens[0], status("suspended"))
	})

	s = w.serveOn(t, s.port)
	lastStays := func() {
		t.Helper()
		id := strings.TrimPrefix(paths[0], "/api/v1/agents/")
		for _, by := range []string{tokens[0], tokens[1]} {
			for _, r := range []struct {
				method, path string
				body         any
			}{
				{http.MethodPatch, paths[0], status("suspended")}, {http.MethodPatch, paths[0], status("decommissioned")}, {http.MethodDelete, paths[0], nil},
				{http.MethodDelete, members + "/" + id, nil}, {http.MethodPut, members + "/" + id, map[string]any{"role": "member"}},
			} {
				got, err := s.call(within(t, patience), r.method, r.path, by, r.body)
				if suspended := by == tokens[1] && got.status == http.StatusUnauthorized; err != nil || got.status != http.StatusConflict && !suspended {
					t.Errorf("%s %s %v: %v, %v; want that the last admin stays", r.method, r.path, r.body, got, err)
				}
			}
		}
	}
	lastStays() // the other is about to be suspended
	s.must(t, http.StatusOK, http.MethodPatch, paths[1], tokens[0], status("suspended"))
	lastStays() // it is
	if got := s.must(t, http.StatusOK, http.MethodGet, paths[1], owner.operatorToken, nil).text("status"); got != "suspended" {
		t.Errorf("the agent is %s, want suspended", got)
	}
	s.must(t, http.StatusOK, http.MethodPatch, paths[1], tokens[0], status("active"))
	s.must(t, http.StatusOK, http.MethodPatch, paths[0], tokens[0], status("suspended")) // the other acts again
	suspensions := 0
	for event, err := range w.openStore(t).ReadAll(within(t, patience), 0, eventstore.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Type == "organization.member_suspended" {
			suspensions++
		}
	}
	if suspensions != 2 {
		t.Errorf("%d suspensions of members on record, want one for each", suspensions)
	}
	w.mustHoldInLedger(t, nil)
}

// A revocation ends what was lent with the credential by the same event. The
// server is killed when that is on record, and neither answered nor read.
func TestARevocationThatWasCutOffEndsWhatWasLent(t *testing.T) {
	t.Parallel()
	onEachOwnEngine(t, cutOffRevocationEndsWhatWasLent)
}

func cutOffRevocationEndsWhatWasLent(t *testing.T, w *world) {
	s := w.serve(t)
	lender := s.tenant(t, w)
	type party struct{ id, secret string }
	var borrowers [2]party
	for i, name := range []string{"borrower", "next"} {
		id := s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", lender.operatorToken, lender.registration(name)).text("agentId")
		credential := s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents/"+id+"/credentials", lender.operatorToken, map[string]any{})
		borrowers[i] = party{id, credential.text("clientSecret")}
	}
	exchange := func(who party, delegation string) reply {
		t.Helper()
		got, err := s.form(within(t, patience), "/oauth2/token", who.id, who.secret, url.Values{
			"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token": {delegation}, "subject_token_type": {"urn:sentryagent:params:oauth:token-type:delegation"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	lend := func(token string, to party, depth int) (chain, delegation string) {
		t.Helper()
		made := s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/oauth2/token/delegate", token,
			map[string]any{"delegateeAgentId": to.id, "scopes": []string{"audit:read"}, "ttlSeconds": 1800 * depth, "maxDepth": depth})
		return made.text("chainId"), made.text("delegationToken")
	}
	var chains, delegations, tokens []string // the first is the credential's own, the second rests on it
	by := s.mustToken(t, lender.agent, lender.secret, "")
	for i, to := range borrowers {
		chain, delegation := lend(by, to, 2-i)
		by = exchange(to, delegation).text("access_token")
		s.must(t, http.StatusOK, http.MethodGet, "/api/v1/audit", by, nil)
		chains, delegations, tokens = append(chains, chain), append(delegations, delegation), append(tokens, by)
	}

	goOn := hold(t, w.superuser(t), `BEGIN; LOCK TABLE delegations IN SHARE MODE`)
	ctx := within(t, patience)
	answered := make(chan error, 1)
	go func() {
		got, err := s.call(ctx, http.MethodDelete, "/api/v1/agents/"+lender.agent+"/credentials/"+lender.credential, lender.operatorToken, nil)
		if err == nil {
			err = fmt.Errorf("answered %v", got)
		} else {
			err = nil // it was cut off
		}
		answered <- err
	}()
	store := w.openStore(t)
	await(t, "the revocation to be on record", func(ctx context.Context) error {
		for event, err := range store.ReadAll(ctx, 0, eventstore.Filter{Types: []string{"credential.revoked"}}) {
			if err != nil {
				return err
			}
			if fact, is := decoded(t, event).(domain.CredentialRevoked); is && fact.CredentialID.String() == lender.credential {
				return nil
			}
		}
		return errors.New("it is not yet")
	})
	s.kill(t)
	if err := <-answered; err != nil {
		t.Fatalf("the revocation was not cut off: %v", err)
	}
	goOn()

	s = w.serveOn(t, s.port)
	for i, who := range borrowers {
		if got := exchange(who, delegations[i]); got.status != http.StatusBadRequest {
			t.Errorf("delegation %d is exchanged: %v", i, got)
		}
		s.must(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/audit", tokens[i], nil)
		verdict := s.must(t, http.StatusOK, http.MethodPost, "/api/v1/oauth2/token/verify-delegation", lender.operatorToken, map[string]any{"delegationToken": delegations[i]})
		if verdict.body["valid"] != false {
			t.Errorf("delegation %d vouches: %v", i, verdict)
		}
	}
	if got, err := s.token(within(t, patience), lender.agent, lender.secret, ""); err != nil || got.status != http.StatusUnauthorized {
		t.Errorf("the credential gets a token: %v, %v", got, err)
	}
	active := s.must(t, http.StatusOK, http.MethodGet, "/api/v1/delegations?status=active&organizationId="+lender.organization, lender.operatorToken, nil)
	revoked := s.must(t, http.StatusOK, http.MethodGet, "/api/v1/delegations?status=revoked&organizationId="+lender.organization, lender.operatorToken, nil)
	if active.body["total"] != 0.0 || revoked.body["total"] != 2.0 || strings.Contains(string(revoked.raw), `"revokedAt":null`) {
		t.Errorf("the list shows active %v and revoked %v; want both ended, with the time", active, revoked)
	}
	told := runToEnd(t, w.settings, "ledger", "state", "delegation", chains[0])
	if told.code != exitOK || !strings.Contains(told.stdout, "credential.revoked, position ") {
		t.Errorf("the state of the delegation: code %d\n%s%s", told.code, told.stdout, told.stderr)
	}
	w.mustHoldInLedger(t, nil)
}
