package domain

import (
	"errors"
	"testing"
)

func TestIDsAreParsedFromTheirCanonicalFormOnly(t *testing.T) {
	parsers := map[string]func(string) (string, error){
		"agentId":        func(s string) (string, error) { id, err := ParseAgentID(s); return id.String(), err },
		"organizationId": func(s string) (string, error) { id, err := ParseOrganizationID(s); return id.String(), err },
		"credentialId":   func(s string) (string, error) { id, err := ParseCredentialID(s); return id.String(), err },
		"jti":            func(s string) (string, error) { id, err := ParseTokenID(s); return id.String(), err },
	}
	const canonical = "0192f3a0-0000-7000-8000-0000000000b1"
	for field, parse := range parsers {
		for _, good := range []string{canonical, "0192F3A0-0000-7000-8000-0000000000B1"} {
			if got, err := parse(good); err != nil || got != canonical {
				t.Errorf("%s from %q = %s, %v; want %s", field, good, got, err, canonical)
			}
		}
		for _, bad := range []string{
			"", "robot", "00000000-0000-0000-0000-000000000000", "{" + canonical + "}", "urn:uuid:" + canonical,
			"0192f3a0000070008000" + "0000000000b1", canonical + " ", canonical[:35] + "g",
		} {
			_, err := parse(bad)
			var refusal *Error
			if !errors.As(err, &refusal) || refusal.Code != CodeValidation || refusal.Details["field"] != field {
				t.Errorf("%s from %q: %v, want %s naming the field", field, bad, err, CodeValidation)
			}
		}
	}
	if !(AgentID{}).IsZero() || !(OrganizationID{}).IsZero() || !(CredentialID{}).IsZero() || robot.IsZero() || acme.IsZero() || first.IsZero() {
		t.Error("IsZero does not tell absent ids from others")
	}
}

// The names of streams are in the ledger for ever.
func TestStreamsAreNamedOnceAndForAll(t *testing.T) {
	for got, want := range map[string]string{
		AgentStream(robot):           "agent-0192f3a0-0000-7000-8000-0000000000b1",
		OrganizationStream(acme):     "organization-0192f3a0-0000-7000-8000-0000000000a1",
		SeatsStream(acme):            "seats-0192f3a0-0000-7000-8000-0000000000a1",
		SigningKeyStream("2026-11"):  "signing_key-2026-11",
		LedgerStream("b.test"):       "ledger-b.test",
		InstanceStream:               "did-instance",
		SecurityStream("2026-11-23"): "security-2026-11-23",
	} {
		if got != want {
			t.Errorf("stream is %s, want %s", got, want)
		}
	}
}

func TestErrorsAreKnownByTheirCode(t *testing.T) {
	base := Refuse(CodeConflict, "somebody was %s", "faster")
	detailed := base.With("a", 1).With("b", 2)
	if !errors.Is(detailed, &Error{Code: CodeConflict}) || errors.Is(detailed, &Error{Code: CodeNotFound}) || errors.Is(detailed, errors.ErrUnsupported) {
		t.Error("errors.Is must go by the code")
	}
	if got, want := detailed.Error(), "CONFLICT: somebody was faster"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if len(base.Details) != 0 || len(detailed.Details) != 2 {
		t.Errorf("With changed the error it was called on: %v; gave %v", base.Details, detailed.Details)
	}
}

func TestScopesAreSets(t *testing.T) {
	got := ParseScopes("  openid agents:read\topenid ")
	if got.String() != "agents:read openid" || !got.Has(ScopeOpenID) || got.Has(ScopeAuditRead) {
		t.Errorf("ParseScopes = %q", got)
	}
	if ParseScopes(" ") != nil {
		t.Error("no scope named must be nil, which asks for the default")
	}
	less := got.Without(ScopeOpenID)
	if less.String() != "agents:read" || got.String() != "agents:read openid" {
		t.Errorf("Without = %q, of %q", less, got)
	}
	if beyond := got.Beyond(less); beyond.String() != "openid" || len(less.Beyond(got)) != 0 {
		t.Errorf("Beyond = %q", beyond)
	}
}
