package domain

import (
	"testing"
	"time"
)

func TestDelegationKeepsTheCredentialOfItsToken(t *testing.T) {
	want := delegated()
	want.CredentialID = &first
	s := givenDelegation(t).when(delegate(func(c *CreateDelegation) { c.Caller.CredentialID = first })).then(want)
	if s.state.CredentialID != first {
		t.Errorf("the delegation became %+v", s.state)
	}
}

func TestWhatBecomesOfACredentialEndsTheDelegationsMadeWithIt(t *testing.T) {
	made := delegated()
	made.CredentialID = &first
	for name, test := range map[string]struct {
		end   Event
		after time.Duration
		ended bool
	}{
		"revoked":               {revoked(first), time.Minute, true},
		"rotated":               {CredentialRotated{AgentID: robot, CredentialID: first}, time.Minute, true},
		"rotated and kept":      {CredentialRotated{AgentID: robot, CredentialID: first, DelegationsKept: true}, time.Minute, false},
		"expired":               {CredentialExpired{AgentID: robot, CredentialID: first}, time.Minute, false},
		"another one revoked":   {revoked(second), time.Minute, false},
		"revoked after its end": {revoked(first), 2 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			at := noon.Add(test.after)
			d := Delegation{}.Evolve(made, noon).Evolve(test.end, at)
			if d.RevokedAt.Equal(at) != test.ended || d.RevokedAt.IsZero() == test.ended {
				t.Errorf("revoked at %v", d.RevokedAt)
			}
			if old := (Delegation{}).Evolve(delegated(), noon).Evolve(test.end, at); !old.RevokedAt.IsZero() {
				t.Error("one from before credentials were kept has ended too")
			}
			if again := d.Evolve(delegationRevoked(), at.Add(time.Minute)); test.ended && !again.RevokedAt.Equal(at) {
				t.Errorf("revoked once more, it ended at %v", again.RevokedAt)
			}
		})
	}
}

func TestRotationEndsDelegationsUnlessTheyAreKept(t *testing.T) {
	s := givenAgent(t, created(), generatedKey())
	for _, keep := range []bool{false, true} {
		s.when(RotateCredential{Caller: colleague, CredentialID: first, PublicKey: otherJWK, At: noon, KeepDelegations: keep}).
			then(CredentialRotated{AgentID: robot, CredentialID: first, PublicKey: otherJWK, DelegationsKept: keep})
	}
}
