package domain

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// agentCommands draws commands to one agent. Every secret and key is new, and
// every one there ever was is presented now and then.
func agentCommands(t *rapid.T) func(Agent, time.Time) AgentCommand {
	secrets := 0
	means := func() (*Verifier, json.RawMessage) {
		secrets++
		switch rapid.IntRange(0, 9).Draw(t, "means") {
		case 9:
			return nil, nil
		case 6, 7, 8:
			return nil, json.RawMessage(fmt.Sprintf(`{ "kid": "<%d>" }`, secrets))
		}
		return verifier(fmt.Sprint(secrets)), nil
	}
	expiry := func(now time.Time) *time.Time {
		return maybe(t, "expiry", rapid.Map(rapid.IntRange(-1000, 60_000), func(ms int) time.Time {
			return now.Add(time.Duration(ms)*time.Millisecond + 7).In(time.FixedZone("elsewhere", 3600))
		}))
	}
	statuses := rapid.SampledFrom([]AgentStatus{AgentActive, AgentActive, AgentIsSuspended, AgentIsSuspended, AgentIsGone, "asleep"})
	proof := func(a Agent) Proof {
		if len(a.Credentials) > 0 && rapid.Bool().Draw(t, "with a key") {
			c := rapid.SampledFrom(a.Credentials).Draw(t, "key")
			return Proof{CredentialID: c.ID, PublicKey: c.PublicKey}
		}
		if rapid.Bool().Draw(t, "the newest secret") {
			return secretProof(fmt.Sprint(secrets))
		}
		return secretProof(fmt.Sprint(rapid.IntRange(1, secrets+1).Draw(t, "secret")))
	}
	return func(a Agent, now time.Time) AgentCommand {
		caller, credential := drawCaller.Draw(t, "caller"), CredentialID{drawID.Draw(t, "credential")}
		kind := rapid.SampledFrom([]string{
			"issue", "issue", "issue", "generate", "generate", "rotate", "revoke", "expire", "register", "update", "status", "decommission", "abandon", "revoke token",
		}).Draw(t, "command")
		if !a.Exists() && rapid.IntRange(0, 5).Draw(t, "too early") < 5 {
			kind = "register"
		}
		switch kind {
		case "register":
			c := RegisterAgent{Caller: operator, AgentID: robot, OrganizationID: acme, Email: created().Email, Profile: someProfile(), Scopes: AllScopes()}
			if rapid.Bool().Draw(t, "carelessly") {
				c.Caller, c.Scopes = caller, drawScopes.Draw(t, "allowed")
				c.Profile.Metadata, c.Profile.Owner = drawMetadata.Draw(t, "metadata"), drawText.Draw(t, "owner")
			}
			return c
		case "update":
			c := UpdateAgent{
				Caller: caller, Owner: maybe(t, "owner", drawText), Description: maybe(t, "description", drawText),
				Metadata: maybe(t, "metadata", drawMetadata), Scopes: maybe(t, "allowed", drawScopes),
				Capabilities: maybe(t, "capabilities", rapid.SampledFrom([][]string{nil, {}, {"a:b"}, {"a:b", "c:d"}})),
				IsPublic:     maybe(t, "public", rapid.Bool()),
			}
			if rapid.IntRange(0, 3).Draw(t, "with status") == 0 {
				c.Status = new(statuses.Draw(t, "status"))
			}
			if rapid.IntRange(0, 3).Draw(t, "with condition") == 0 {
				c.IfEdition = []int{rapid.IntRange(0, 5).Draw(t, "edition")}
			}
			return c
		case "status":
			return ChangeAgentStatus{Caller: caller, Status: statuses.Draw(t, "status"), Reason: drawText.Draw(t, "reason")}
		case "decommission":
			if rapid.IntRange(0, 3).Draw(t, "really") > 0 { // it ends the story
				return ChangeAgentStatus{Caller: operator, Status: AgentActive}
			}
			return DecommissionAgent{Caller: caller}
		case "abandon":
			return AbandonRegistration{AgentID: robot}
		case "generate":
			v, key := means()
			return GenerateCredential{Caller: caller, CredentialID: credential, Verifier: v, PublicKey: key, ExpiresAt: expiry(now), At: now}
		case "rotate":
			if rapid.Bool().Draw(t, "newest") {
				credential = CredentialID{}
			}
			v, key := means()
			return RotateCredential{Caller: caller, CredentialID: credential, Verifier: v, PublicKey: key, ExpiresAt: expiry(now), At: now}
		case "revoke":
			return RevokeCredential{Caller: caller, CredentialID: credential, Reason: drawText.Draw(t, "reason")}
		case "expire":
			return ExpireCredentials{At: now}
		case "issue":
			c := IssueToken{Proof: proof(a), TokenID: tokenID, At: now}
			if rapid.Bool().Draw(t, "with scopes") {
				c.Scopes = drawScopes.Draw(t, "wanted")
			}
			return c
		}
		return RevokeToken{TokenID: tokenID, ExpiresAt: now}
	}
}

// entitled tells from the bare history, knowing nothing of aggregates, whether
// a proof is good for a token.
func entitled(past []fact, proof Proof, at time.Time) bool {
	type means struct {
		secret, key string
		expiresAt   *time.Time
	}
	living, active := map[CredentialID]means{}, false
	read := func(v *Verifier, key json.RawMessage, expiresAt *time.Time) means {
		if v == nil {
			return means{key: string(key), expiresAt: expiresAt}
		}
		return means{secret: string(v.MAC), expiresAt: expiresAt}
	}
	for _, f := range past {
		switch e := f.event.(type) {
		case AgentCreated, AgentReactivated:
			active = true
		case AgentSuspended, AgentDecommissioned:
			active = false
		case CredentialGenerated:
			living[e.CredentialID] = read(e.Verifier, e.PublicKey, e.ExpiresAt)
		case CredentialRotated:
			living[e.CredentialID] = read(e.Verifier, e.PublicKey, e.ExpiresAt)
		case CredentialRevoked:
			delete(living, e.CredentialID)
		}
	}
	for id, m := range living {
		if !active || m.expiresAt != nil && !at.Before(*m.expiresAt) {
			continue
		}
		knowsSecret := m.secret != "" && slices.ContainsFunc(proof.Secret, func(v Verifier) bool { return string(v.MAC) == m.secret })
		hasKey := m.key != "" && proof.CredentialID == id && string(proof.PublicKey) == m.key
		if knowsSecret || hasKey {
			return true
		}
	}
	return false
}

// allowed tells from the bare history which scopes the agent has.
func allowed(past []fact) Scopes {
	var scopes Scopes
	for _, f := range past {
		switch e := f.event.(type) {
		case AgentCreated:
			scopes = e.Scopes
		case AgentUpdated:
			if e.Scopes != nil {
				scopes = *e.Scopes
			}
		}
	}
	return scopes
}

func TestTokensFollowTheHistoryAlone(t *testing.T) {
	granted, denied := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		explore(t, agentCommands(t), func(s step[Agent, AgentCommand]) {
			c, isIssue := s.cmd.(IssueToken)
			if !isIssue {
				return
			}
			good := entitled(s.past, c.Proof, c.At)
			var failure *AuthError
			if errors.As(s.err, &failure) == good {
				t.Fatalf("proof %+v entitles to a token: %v; got %+v, %v", c.Proof, good, s.events, s.err)
			}
			if s.err != nil {
				denied++
				return
			}
			granted++
			if got := ParseScopes(s.events[0].(TokenIssued).Scope); len(got.Beyond(allowed(s.past))) > 0 {
				t.Fatalf("token with %q, allowed are %q", got, allowed(s.past))
			} else if c.Scopes == nil && got.Has(ScopeAdminOrgs) {
				t.Fatalf("a token got %s without asking", ScopeAdminOrgs)
			}
		})
	})
	if granted == 0 || denied == 0 {
		t.Errorf("%d tokens granted, %d denied: the commands prove nothing", granted, denied)
	}
}

func TestNoHistoryBreaksTheRulesOfAnAgent(t *testing.T) {
	changes := 0
	rapid.Check(t, func(t *rapid.T) {
		explore(t, agentCommands(t), func(s step[Agent, AgentCommand]) {
			after := s.before
			for _, e := range s.events {
				after = after.Evolve(e, s.at)
				changes++
				switch e := e.(type) {
				case AgentUpdated:
					if reduced := e.Scopes != nil && len(s.before.Scopes.Beyond(*e.Scopes)) > 0; reduced != e.ScopesReduced {
						t.Fatalf("from %q to %+v: reduced is %v", s.before.Scopes, e.Scopes, e.ScopesReduced)
					}
				case TokenRevoked:
					continue
				}
				if s.before.Abandoned() || s.before.Status == AgentIsGone {
					t.Fatalf("%s after the end (%s)", e.EventType(), s.before.Status)
				}
			}
			caller := callerOf(s.cmd)
			if granted := after.Scopes.Beyond(s.before.Scopes); caller != nil && len(granted.Beyond(caller.Scopes)) > 0 {
				t.Fatalf("%+v granted %q", caller, granted)
			}
			if len(s.events) > 0 && caller != nil && caller.OrganizationID != acme && !caller.IsOperator() {
				t.Fatalf("a stranger decided %+v", s.events)
			}
			if n := after.activeCredentials(s.at); n > MaxActiveCredentials {
				t.Fatalf("%d active credentials", n)
			}
			if !slices.Equal(after.Scopes, NewScopes(after.Scopes...)) {
				t.Fatalf("%q is not a set", after.Scopes)
			}
			if after.Edition < s.before.Edition {
				t.Fatalf("edition went from %d to %d", s.before.Edition, after.Edition)
			}
		})
	})
	if changes == 0 {
		t.Error("no command changed anything: they prove nothing")
	}
}
