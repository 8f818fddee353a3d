package domain

import (
	"strings"
	"testing"
	"time"
)

func generatedInEra(id CredentialID, secret string, era int) CredentialGenerated {
	e := generated(id, secret)
	e.Era = era
	return e
}

func TestAnAgentsAccessEndsByOneEvent(t *testing.T) {
	for _, credentials := range []bool{false, true} {
		want := AgentAccessRevoked{AgentID: robot, Reason: "stolen", Credentials: credentials}
		s := givenAgent(t, created(), generated(first, "s1"), generated(second, "s2"), revoked(second)).
			when(RevokeAgentsAccess{Caller: operator, Reason: "stolen", Credentials: credentials}).then(want)
		_, err := s.state.Authenticate(secretProof("s1"), noon)
		if gone := err != nil; gone != credentials {
			t.Errorf("with credentials %v the secret is gone: %v (%v)", credentials, gone, err)
		}
		if s.state.Status != AgentActive || s.state.Edition != 1 {
			t.Errorf("the agent itself has changed: %+v", s.state)
		}
		if earlier, _ := s.state.Credential(second); !earlier.RevokedAt.Before(noon) {
			t.Errorf("a credential that was revoked before is said to be revoked at %s", earlier.RevokedAt)
		}
		s.when(RevokeAgentsAccess{Caller: operator, Reason: "again"}).then(AgentAccessRevoked{AgentID: robot, Reason: "again"})
	}
}

func TestRevokingAllAccessTakesAReason(t *testing.T) {
	for name, reason := range map[string]string{"none": "", "blank": "  ", "too long": strings.Repeat("r", maxReasonLength+1), "two lines": "a\nb"} {
		t.Run(name, func(t *testing.T) {
			givenAgent(t, created()).when(RevokeAgentsAccess{Caller: operator, Reason: reason}).thenRefused(CodeValidation, "reason")
			givenOrganization(t, acmeCreated()).when(RevokeOrganizationsAccess{Caller: operator, Reason: reason}).thenRefused(CodeValidation, "reason")
		})
	}
}

func TestWhoMayEndAnOrganizationsAccess(t *testing.T) {
	s := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin))
	narrow, lentOne, noAdmin := admin, underLent(admin), admin
	narrow.Scopes, noAdmin.AgentID = Scopes{}, robot
	noAdmin.Standing.Agent.ID = robot
	for name, test := range map[string]struct {
		caller  Caller
		refused Code
	}{
		"the operator":                   {operator, ""},
		"an admin":                       {admin, ""},
		"an admin with a narrow token":   {narrow, CodeInsufficientScope},
		"an admin with lent authority":   {lentOne, CodeInsufficientScope},
		"an agent without the role":      {noAdmin, CodeInsufficientScope},
		"an admin of somebody else's":    {stranger, CodeCrossTenant},
		"somebody who was not looked up": {Caller{AgentID: sibling, OrganizationID: acme, Scopes: admin.Scopes}, CodeInsufficientScope},
	} {
		t.Run(name, func(t *testing.T) {
			result := story[Organization, OrganizationCommand]{t: t, state: s.state}.
				when(RevokeOrganizationsAccess{Caller: test.caller, Reason: "stolen"})
			if test.refused != "" {
				result.thenRefused(test.refused, "")
				return
			}
			result.then(OrganizationAccessRevoked{OrganizationID: acme, Reason: "stolen"})
		})
	}
	givenOrganization(t, acmeCreated(), OrganizationSuspended{OrganizationID: acme}).
		when(RevokeOrganizationsAccess{Caller: operator, Reason: "stolen"}).then(OrganizationAccessRevoked{OrganizationID: acme, Reason: "stolen"})
	givenOrganization(t, acmeCreated(), OrganizationDeleted{OrganizationID: acme}).
		when(RevokeOrganizationsAccess{Caller: operator, Reason: "stolen"}).thenRefused(CodeOrganizationNotFound, "")
}

func TestEndingAllCredentialsBeginsAnEra(t *testing.T) {
	all := RevokeOrganizationsAccess{Caller: operator, Reason: "stolen", Credentials: true}
	era := func(n int) OrganizationAccessRevoked {
		return OrganizationAccessRevoked{OrganizationID: acme, Reason: "stolen", Credentials: true, Era: n}
	}
	s := givenOrganization(t, acmeCreated()).when(all).then(era(1))
	s = s.when(RevokeOrganizationsAccess{Caller: operator, Reason: "x"}).then(OrganizationAccessRevoked{OrganizationID: acme, Reason: "x"})
	s.when(all).then(era(2))
}

// What the organization has ended counts as revoked in every decision about it.
func TestCredentialsOfEarlierErasHaveEnded(t *testing.T) {
	s := givenAgent(t, created(), generated(first, "s1"), generatedInEra(second, "s2", 1))
	inEra := func(cmd AgentCommand) InEra { return InEra{Era: 1, Command: cmd} }
	if _, err := s.state.InEra(1).Authenticate(secretProof("s1"), noon); err == nil {
		t.Error("a credential of an earlier era lets its agent in")
	}
	if c, err := s.state.InEra(1).Authenticate(secretProof("s2"), noon); err != nil || c.ID != second {
		t.Errorf("a credential of this era: %v", err)
	}
	if _, err := s.state.InEra(0).Authenticate(secretProof("s1"), noon); err != nil {
		t.Errorf("before any era: %v", err)
	}
	if c, _ := s.state.Credential(first); c.Status != CredentialActive {
		t.Error("looking at an agent in an era has changed it")
	}
	s.when(inEra(IssueToken{Proof: secretProof("s1"), TokenID: tokenID, At: noon})).thenNotAuthenticated(AuthCredentialRevoked)
	s.when(inEra(RotateCredential{Caller: operator, CredentialID: first, Verifier: verifier("x"), At: noon})).thenRefused(CodeCredentialAlreadyRevoked, "")
	s.when(inEra(RevokeCredential{Caller: operator, CredentialID: first})).thenRefused(CodeCredentialAlreadyRevoked, "")
	s.when(inEra(RotateCredential{Caller: operator, Verifier: verifier("x"), At: noon})).
		then(CredentialRotated{AgentID: robot, CredentialID: second, Verifier: verifier("x")})
	third := CredentialID{testUUID("0000000000c9")}
	s.when(inEra(GenerateCredential{Caller: operator, CredentialID: third, Verifier: verifier("s3"), At: noon})).
		then(generatedInEra(third, "s3", 1))
}

// Who did not know of an era may still have written to the agent's stream.
func TestNothingBringsARevokedCredentialBack(t *testing.T) {
	for _, late := range []Event{
		CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s1")},
		CredentialExpired{AgentID: robot, CredentialID: first, ExpiredAt: noon},
		CredentialRevoked{AgentID: robot, CredentialID: first},
	} {
		s := givenAgent(t, created(), generated(first, "s1"), AgentAccessRevoked{AgentID: robot, Credentials: true})
		before, _ := s.state.Credential(first)
		after, _ := s.state.Evolve(late, noon.Add(time.Hour)).Credential(first)
		if after.Status != CredentialIsRevoked || !after.RevokedAt.Equal(before.RevokedAt) {
			t.Errorf("after %s: %q at %s, before %q at %s", late.EventType(), after.Status, after.RevokedAt, before.Status, before.RevokedAt)
		}
	}
}

func TestDelegationsEndWithAllAccess(t *testing.T) {
	link := golden["delegation.created.1.minimal.json"].(DelegationCreated) //nolint:forcetypeassert // it is one
	other := AgentID{testUUID("0000000000f1")}
	for name, test := range map[string]struct {
		event Event
		ends  bool
	}{
		"of the delegator":            {AgentAccessRevoked{AgentID: link.DelegatorID}, true},
		"of the delegatee":            {AgentAccessRevoked{AgentID: link.DelegateeID}, true},
		"of another agent":            {AgentAccessRevoked{AgentID: other}, false},
		"of the organization":         {OrganizationAccessRevoked{OrganizationID: link.OrganizationID}, true},
		"of another organization":     {OrganizationAccessRevoked{OrganizationID: rivals}, false},
		"a suspension of a delegator": {AgentSuspended{AgentID: link.DelegatorID}, false},
	} {
		d := Delegation{}.Evolve(link, noon.Add(-time.Minute)).Evolve(test.event, noon.Add(-time.Second))
		if ended := !d.RevokedAt.IsZero(); ended != test.ends {
			t.Errorf("%s: ended %v, want %v", name, ended, test.ends)
		}
	}
}
