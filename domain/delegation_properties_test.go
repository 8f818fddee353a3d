package domain

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNoHistoryBreaksTheRulesOfADelegation(t *testing.T) {
	made, issuances, revocations := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		agents := rapid.SampledFrom([]AgentID{robot, sibling, helper})
		statuses := rapid.SampledFrom([]AgentStatus{AgentActive, AgentActive, AgentActive, AgentIsSuspended, AgentIsGone, agentNeverWas})
		organizations := rapid.SampledFrom([]OrganizationID{acme, acme, acme, rivals})
		some := func(id AgentID) Agent {
			return Agent{ID: id, OrganizationID: organizations.Draw(t, "organization"), Status: statuses.Draw(t, "status"),
				Scopes: NewScopes(drawScopes.Draw(t, "allowed")...)}
		}
		caller := func() Caller {
			c := Caller{AgentID: agents.Draw(t, "caller"), OrganizationID: organizations.Draw(t, "of"), Scopes: NewScopes(drawScopes.Draw(t, "held")...)}
			if rapid.IntRange(0, 3).Draw(t, "delegated") == 0 {
				c.Delegation = rapid.SampledFrom([]DelegationID{lent, lentTwo}).Draw(t, "under")
			}
			return c
		}
		draw := func(d Delegation, now time.Time) DelegationCommand {
			kind := rapid.IntRange(0, 9).Draw(t, "command")
			switch {
			case !d.Exists() && rapid.Bool().Draw(t, "carefully"):
				return delegate(func(c *CreateDelegation) { c.At, c.MaxDepth = now, rapid.IntRange(0, 3).Draw(t, "depth") })
			case !d.Exists() || kind == 0:
				c := CreateDelegation{
					Caller: caller(), DelegationID: lent, DelegateeID: agents.Draw(t, "delegatee"), Scopes: drawScopes.Draw(t, "lent"),
					TTLSeconds: rapid.SampledFrom([]int{-1, 59, 60, 3600, 86_400, 86_401}).Draw(t, "ttl"), MaxDepth: rapid.IntRange(-1, 4).Draw(t, "depth"), At: now,
				}
				c.Delegator, c.Delegatee = some(c.Caller.AgentID), some(c.DelegateeID)
				c.Parent = Delegation{
					ID: lentTwo, OrganizationID: acme, DelegatorID: boss, DelegateeID: c.Caller.AgentID, Scopes: c.Caller.Scopes,
					MaxDepth: rapid.IntRange(0, 3).Draw(t, "parent's depth"), ExpiresAt: now.Add(time.Duration(rapid.IntRange(0, 7200).Draw(t, "parent's end")) * time.Second),
				}
				return c
			case kind == 1 && rapid.Bool().Draw(t, "by anybody"):
				return RevokeDelegation{Caller: caller(), Reason: drawText.Draw(t, "reason")}
			}
			c := exchange(func(c *ExchangeDelegation) { c.At = now })
			if kind < 5 {
				c.Actor, c.Subject = caller(), some(robot)
			}
			if rapid.Bool().Draw(t, "with scopes") {
				c.Scopes = NewScopes(drawScopes.Draw(t, "wanted")...)
			}
			return c
		}
		explore(t, draw, func(s step[Delegation, DelegationCommand]) {
			for _, e := range s.events {
				switch e := e.(type) {
				case DelegationCreated:
					made++
					c := s.cmd.(CreateDelegation)
					if s.before.Exists() || c.Delegatee.Status != AgentActive || c.Delegator.Status != AgentActive || len(e.Scopes) == 0 ||
						len(e.Scopes.Beyond(c.Caller.Scopes)) > 0 || e.Scopes.Has(ScopeAdminOrgs) || e.DelegateeID == e.DelegatorID ||
						e.ExpiresAt.After(s.at.Add(24*time.Hour)) {
						t.Fatalf("%+v decided %+v", c, e)
					}
					if under := c.Caller.IsDelegated(); under != (e.ParentID != nil) ||
						under && (e.MaxDepth >= c.Parent.MaxDepth || e.ExpiresAt.After(c.Parent.ExpiresAt) || len(e.Scopes.Beyond(c.Parent.Scopes)) > 0) {
						t.Fatalf("%+v decided %+v", c, e)
					}
				case DelegationRevoked:
					revocations++
					if !s.before.RevokedAt.IsZero() {
						t.Fatal("revoked twice")
					}
				case TokenIssued:
					issuances++
					c := s.cmd.(ExchangeDelegation)
					if scopes := ParseScopes(e.Scope); !s.before.usableAt(s.at) || e.AgentID != s.before.DelegateeID || len(scopes) == 0 ||
						len(scopes.Beyond(s.before.Scopes)) > 0 || len(scopes.Beyond(c.Subject.Scopes)) > 0 || e.ExpiresAt.After(s.before.ExpiresAt) {
						t.Fatalf("%+v on %+v decided %+v", c, s.before, e)
					}
				}
			}
		})
	})
	if made == 0 || issuances == 0 || revocations == 0 {
		t.Errorf("%d made, %d tokens, %d revoked: the commands prove nothing", made, issuances, revocations)
	}
}
