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
	const want = "claim-email-6b5dd56a5b5ad2f1f0f4d5a5a2c0b1f1" // only its length and prefix matter
	lower, upper := ClaimStream(ClaimEmail, "robot@acme.test"), ClaimStream(ClaimEmail, "Robot@ACME.test")
	if lower != upper {
		t.Errorf("streams differ: %s and %s", lower, upper)
	}
	if len(lower) != len("claim-email-")+64 || lower[:12] != want[:12] {
		t.Errorf("stream is %s", lower)
	}
	if lower == ClaimStream(ClaimEmail, "robot2@acme.test") || lower == ClaimStream(ClaimSlug, "robot@acme.test") {
		t.Error("different claims share a stream")
	}
}
