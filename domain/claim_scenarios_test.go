package domain

import (
	"testing"

	"github.com/google/uuid"
)

func TestOneOwnerPerClaim(t *testing.T) {
	mine, theirs := robot.UUID, sibling.UUID
	made := ClaimMade{Kind: ClaimEmail, Owner: mine}
	s := givenClaim(t).when(MakeClaim{Kind: ClaimEmail, Owner: mine}).then(made)
	if s.state.Owner != mine || !s.state.Since.Equal(noon) {
		t.Errorf("claim is %+v", s.state)
	}
	s.when(MakeClaim{Kind: ClaimEmail, Owner: mine}).thenNothing()
	s.when(MakeClaim{Kind: ClaimEmail, Owner: theirs}).thenRefused(CodeAgentExists, "email")
	s.when(MakeClaim{Kind: ClaimEmail, Owner: theirs, From: boss.UUID}).thenRefused(CodeAgentExists, "email")
	givenClaim(t, ClaimMade{Kind: ClaimSlug, Owner: mine}).when(MakeClaim{Kind: ClaimSlug, Owner: theirs}).thenRefused(CodeSlugTaken, "slug")
}

func TestClaimIsTakenOverFromItsOwnerOnly(t *testing.T) {
	mine, theirs := robot.UUID, sibling.UUID
	s := givenClaim(t, ClaimMade{Kind: ClaimEmail, Owner: theirs}).
		when(MakeClaim{Kind: ClaimEmail, Owner: mine, From: theirs}).
		then(ClaimTakenOver{Kind: ClaimEmail, Owner: mine, From: theirs})
	if s.state.Owner != mine {
		t.Errorf("claim is %+v", s.state)
	}
	s.when(MakeClaim{Kind: ClaimEmail, Owner: theirs, From: boss.UUID}).thenRefused(CodeAgentExists, "email")
	givenClaim(t).when(MakeClaim{Kind: ClaimEmail, Owner: mine, From: theirs}).then(ClaimMade{Kind: ClaimEmail, Owner: mine})
	givenClaim(t).when(MakeClaim{Kind: ClaimEmail, Owner: mine, From: uuid.Nil}).then(ClaimMade{Kind: ClaimEmail, Owner: mine})
}

func TestClaimsDoNotTellLetterCase(t *testing.T) {
	const want = "claim-email-011c256e15dc308d7be8d891ef4468fce80b1623895bb7524cf1990cf6c95585"
	for _, value := range []string{"robot@acme.test", "Robot@ACME.test"} {
		if got := ClaimStream(ClaimEmail, value); got != want {
			t.Errorf("ClaimStream(email, %s) = %s, want %s", value, got, want)
		}
	}
	for _, other := range []string{ClaimStream(ClaimEmail, "robot2@acme.test"), ClaimStream(ClaimSlug, "robot@acme.test")} {
		if other == want {
			t.Error("different claims share a stream")
		}
	}
}
