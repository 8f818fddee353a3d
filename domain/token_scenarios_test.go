package domain

import (
	"errors"
	"testing"
	"time"
)

func issue(proof Proof, scopes Scopes) IssueToken {
	return IssueToken{Proof: proof, TokenID: tokenID, Scopes: scopes, Audience: "https://api.test", Algorithm: "RS256", KeyID: "k1", At: noon}
}

func issued(method CredentialKind, scope string) TokenIssued {
	return TokenIssued{
		AgentID: robot, TokenID: tokenID, CredentialID: first, AuthMethod: method, Scope: scope,
		Audience: "https://api.test", Algorithm: "RS256", KeyID: "k1", ExpiresAt: noon.Add(TokenLifetime),
	}
}

func TestTokenIsIssuedOnAGoodCredential(t *testing.T) {
	s := givenAgent(t, created(), generated(first, "s1")).when(issue(secretProof("s1"), nil)).
		then(issued(SecretCredential, "agents:read agents:write"))
	if !s.state.LastAuthAt.Equal(noon) || s.state.Edition != 1 {
		t.Errorf("after a token: %+v", s.state)
	}
	key := Proof{CredentialID: first, PublicKey: jwk}
	givenAgent(t, created(), generatedKey()).when(issue(key, NewScopes(ScopeAgentsRead))).then(issued(KeyCredential, "agents:read"))
}

func TestTokenNeverExceedsTheAllowedScopes(t *testing.T) {
	admin := created()
	admin.Scopes = NewScopes(ScopeAdminOrgs, ScopeAgentsRead)
	s := givenAgent(t, admin, generated(first, "s1"))
	for name, test := range map[string]struct {
		wanted  Scopes
		got     string
		refused bool
	}{
		"nothing asked leaves admin:orgs out": {nil, "agents:read", false},
		"admin:orgs on request":               {NewScopes(ScopeAdminOrgs), "admin:orgs", false},
		"one beyond is left out":              {NewScopes(ScopeAgentsRead, ScopeAuditRead), "agents:read", false},
		"only beyond":                         {NewScopes(ScopeTokensRead, ScopeAuditRead), "", true},
		"one that does not exist":             {ParseScopes("agents:read root"), "", true},
		"none":                                {Scopes{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			result := story[Agent, AgentCommand]{t: t, state: s.state}.when(issue(secretProof("s1"), test.wanted))
			if !test.refused {
				result.then(issued(SecretCredential, test.got))
				return
			}
			result.thenRefused(CodeScopeNotAllowed, "scope")
		})
	}
	t.Run("taken away means gone", func(t *testing.T) {
		less := AgentUpdated{AgentID: robot, Scopes: &Scopes{ScopeAgentsRead}, ScopesReduced: true}
		givenAgent(t, created(), generated(first, "s1"), less).when(issue(secretProof("s1"), NewScopes(ScopeAgentsWrite))).
			thenRefused(CodeScopeNotAllowed, "scope")
	})
}

func TestRevokedCredentialNeverIssues(t *testing.T) {
	givenAgent(t, created(), generated(first, "s1"), revoked(first)).when(issue(secretProof("s1"), nil)).
		thenNotAuthenticated(AuthCredentialRevoked)
	givenAgent(t, created(), generatedKey(), revoked(first)).when(issue(Proof{CredentialID: first, PublicKey: jwk}, nil)).
		thenNotAuthenticated(AuthCredentialRevoked)
}

func TestExpiredCredentialNeverIssues(t *testing.T) {
	for name, test := range map[string]struct {
		expiry  time.Time
		expired bool
	}{
		"an instant ago": {noon.Add(-1), true},
		"this instant":   {noon, true},
		"in an instant":  {noon.Add(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			past := generated(first, "s1")
			past.ExpiresAt = &test.expiry
			result := givenAgent(t, created(), past).when(issue(secretProof("s1"), nil))
			if test.expired {
				result.thenNotAuthenticated(AuthCredentialExpired)
				return
			}
			result.then(issued(SecretCredential, "agents:read agents:write"))
		})
	}
}

func TestRotatedSecretOrKeyNeverIssues(t *testing.T) {
	s := givenAgent(t, created(), generated(first, "s1"), CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2")})
	s.when(issue(secretProof("s1"), nil)).thenNotAuthenticated(AuthWrongSecret)
	s.when(issue(secretProof("s2"), nil)).then(issued(SecretCredential, "agents:read agents:write"))

	k := givenAgent(t, created(), generatedKey(), CredentialRotated{AgentID: robot, CredentialID: first, PublicKey: otherJWK})
	k.when(issue(Proof{CredentialID: first, PublicKey: jwk}, nil)).thenNotAuthenticated(AuthWrongSecret)
	k.when(issue(Proof{CredentialID: first, PublicKey: otherJWK}, nil)).then(issued(KeyCredential, "agents:read agents:write"))
}

func TestSuspendedAgentGetsNoTokenUntilReactivated(t *testing.T) {
	s := givenAgent(t, created(), generated(first, "s1"), suspended())
	s.when(issue(secretProof("s1"), nil)).thenNotAuthenticated(AuthAgentSuspended)
	s.when(ChangeAgentStatus{Caller: colleague, Status: AgentActive}).then(reactivated()).
		when(issue(secretProof("s1"), nil)).then(issued(SecretCredential, "agents:read agents:write"))
}

// Only who knows the secret learns in what state the agent is.
func TestWrongSecretTellsNothing(t *testing.T) {
	for name, past := range map[string][]Event{
		"active":         {created(), generated(first, "s1")},
		"suspended":      {created(), generated(first, "s1"), suspended()},
		"decommissioned": {created(), generated(first, "s1"), decommissioned()},
		"revoked":        {created(), generated(first, "s1"), revoked(first)},
		"no credential":  {created()},
		"a key":          {created(), generatedKey()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, proof := range []Proof{
				{},
				secretProof("wrong"),
				{Secret: []Verifier{{KeyID: "key-2", MAC: verifier("s1").MAC}}}, // right under another key
				{CredentialID: first}, // a key, but none presented
				{CredentialID: first, PublicKey: otherJWK},
				{CredentialID: second, PublicKey: jwk},
			} {
				givenAgent(t, past...).when(issue(proof, nil)).thenNotAuthenticated(AuthWrongSecret)
			}
		})
	}
	t.Run("a credential without a secret has none", func(t *testing.T) {
		empty := CredentialGenerated{AgentID: robot, CredentialID: first, Kind: SecretCredential}
		givenAgent(t, created(), empty).when(issue(Proof{Secret: []Verifier{{}}}, nil)).thenNotAuthenticated(AuthWrongSecret)
	})
	t.Run("nor has a key without a key", func(t *testing.T) {
		empty := CredentialGenerated{AgentID: robot, CredentialID: first, Kind: KeyCredential}
		givenAgent(t, created(), empty).when(issue(Proof{CredentialID: first}, nil)).thenNotAuthenticated(AuthWrongSecret)
	})
}

func TestSecretIsFoundUnderAnyOfItsKeys(t *testing.T) {
	proof := Proof{Secret: []Verifier{{KeyID: "newer", MAC: []byte("something else")}, *verifier("s1")}}
	givenAgent(t, created(), generated(first, "s1")).when(issue(proof, nil)).then(issued(SecretCredential, "agents:read agents:write"))
}

func TestUsableCredentialIsPreferredToADeadOne(t *testing.T) {
	agent := givenAgent(t, created(), generated(second, "s1"), revoked(second), generated(first, "s1")).state
	got, err := agent.Authenticate(secretProof("s1"), noon)
	if err != nil || got.ID != first {
		t.Errorf("Authenticate = %v, %v; want %v", got.ID, err, first)
	}
}

func TestNoTokenForWhoNeverWas(t *testing.T) {
	givenAgent(t).when(issue(secretProof("s1"), nil)).thenNotAuthenticated(AuthUnknownClient)
	_, err := givenAgent(t, RegistrationAbandoned{AgentID: robot}).state.Authenticate(secretProof("s1"), noon)
	var failure *AuthError
	if !errors.As(err, &failure) || failure.Reason != AuthUnknownClient || failure.Error() != "client authentication failed: unknown_client" {
		t.Errorf("Authenticate: %v", err)
	}
}

func TestTokenOfAnyAgentCanBeRevoked(t *testing.T) {
	want := TokenRevoked{AgentID: robot, TokenID: tokenID, ExpiresAt: noon}
	for _, past := range [][]Event{{created()}, {created(), suspended()}, {created(), decommissioned()}} {
		givenAgent(t, past...).when(RevokeToken{TokenID: tokenID, ExpiresAt: noon}).then(want)
	}
	givenAgent(t).when(RevokeToken{TokenID: tokenID, ExpiresAt: noon}).thenRefused(CodeAgentNotFound, "")
}
