package domain

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var (
	jwk      = json.RawMessage(`{"kty":"EC","kid":"a"}`)
	otherJWK = json.RawMessage(`{"kty":"EC","kid":"b"}`)
	inADay   = noon.Add(24 * time.Hour)
)

func generatedKey() CredentialGenerated {
	return CredentialGenerated{AgentID: robot, CredentialID: first, Kind: KeyCredential, PublicKey: jwk}
}

func TestCredentialIsGenerated(t *testing.T) {
	s := givenAgent(t, created()).
		when(GenerateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("s1"), ExpiresAt: &inADay, At: noon}).
		then(CredentialGenerated{AgentID: robot, CredentialID: first, Kind: SecretCredential, Verifier: verifier("s1"), ExpiresAt: &inADay})
	got, found := s.state.Credential(first)
	if !found || got.Status != CredentialActive || !got.CreatedAt.Equal(noon) || !got.ExpiresAt.Equal(inADay) {
		t.Errorf("credential is %+v", got)
	}
	givenAgent(t, created()).when(GenerateCredential{Caller: colleague, CredentialID: first, PublicKey: jwk, At: noon}).then(generatedKey())
}

func TestKeyIsKeptInTheFormItIsReadBackIn(t *testing.T) {
	spaced := json.RawMessage(`{ "kty": "EC", "kid": "<a>" }`)
	want := generatedKey()
	want.PublicKey = json.RawMessage(`{"kty":"EC","kid":"\u003ca\u003e"}`)
	givenAgent(t, created()).when(GenerateCredential{Caller: colleague, CredentialID: first, PublicKey: spaced, At: noon}).then(want)
}

func TestTimesAreKeptInTheFormTheyAreReadBackIn(t *testing.T) {
	elsewhere := inADay.In(time.FixedZone("elsewhere", 3600)).Add(1234 * time.Nanosecond)
	stored := inADay.Add(time.Microsecond)
	givenAgent(t, created()).
		when(GenerateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("s1"), ExpiresAt: &elsewhere, At: noon}).
		then(CredentialGenerated{AgentID: robot, CredentialID: first, Kind: SecretCredential, Verifier: verifier("s1"), ExpiresAt: &stored})
}

// Whoever repeats a generation has not seen the first secret: it dies.
func TestGenerationRepeatedAfterACrashRotates(t *testing.T) {
	cmd := GenerateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("s2"), At: noon}
	s := givenAgent(t, created(), generated(first, "s1")).when(cmd).
		then(CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2")})
	s.when(IssueToken{Proof: secretProof("s1"), At: noon}).thenNotAuthenticated(AuthWrongSecret)
	givenAgent(t, created(), generated(first, "s1"), revoked(first)).when(cmd).thenRefused(CodeCredentialAlreadyRevoked, "")
}

// A command that was taken for dead and repeated leaves alone what its
// repetition made: that secret has been handed out.
func TestACommandThatWasRepeatedMeanwhileReplacesNothing(t *testing.T) {
	before, after := noon.Add(-time.Hour), noon
	generate := GenerateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("s2"), At: noon, Since: before}
	rotate := RotateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("s2"), At: noon, Since: before}
	late := givenAgent(t, created(), generated(first, "s1")) // at noon
	late.when(generate).thenRefused(CodeUnavailable, "")
	late.when(rotate).thenRefused(CodeUnavailable, "")
	generate.Since, rotate.Since = after, after
	givenAgent(t, created(), generated(first, "s1")).when(generate).then(CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2")})
	givenAgent(t, created(), generated(first, "s1")).when(rotate).then(CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2")})
}

func TestCredentialsOfASuspendedAgent(t *testing.T) {
	s := givenAgent(t, created(), generated(first, "s1"), suspended())
	s.when(GenerateCredential{Caller: colleague, CredentialID: second, Verifier: verifier("s2"), At: noon}).thenRefused(CodeAgentSuspended, "")
	s.when(RotateCredential{Caller: colleague, Verifier: verifier("s2"), At: noon}).
		then(CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2")})
	s.when(RevokeCredential{Caller: colleague, CredentialID: first, Reason: "leaked"}).then(revoked(first))
}

func TestCredentialNeedsExactlyOneWayToAuthenticate(t *testing.T) {
	both := GenerateCredential{Verifier: verifier("s"), PublicKey: jwk}
	for name, test := range map[string]struct {
		cmd   GenerateCredential
		field string
	}{
		"neither":         {GenerateCredential{}, "credential"},
		"both":            {both, "credential"},
		"an empty secret": {GenerateCredential{Verifier: &Verifier{KeyID: "key-1"}}, "credential"},
		"an empty key":    {GenerateCredential{PublicKey: json.RawMessage{}}, "credential"},
		"a broken key":    {GenerateCredential{PublicKey: json.RawMessage(`{`)}, "publicKeyJwk"},
	} {
		t.Run(name, func(t *testing.T) {
			test.cmd.Caller, test.cmd.CredentialID, test.cmd.At = colleague, first, noon
			givenAgent(t, created()).when(test.cmd).thenRefused(CodeValidation, test.field)
		})
	}
}

// A rotation that brings no new secret would leave the old one alive.
func TestRotationAlwaysReplaces(t *testing.T) {
	s := givenAgent(t, created(), generated(first, "s1"))
	s.when(RotateCredential{Caller: colleague, CredentialID: first, At: noon}).thenRefused(CodeValidation, "credential")
	s.when(RotateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("s2"), At: noon}).
		then(CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2")})
}

func TestKeysRotateToKeysAndSecretsToSecrets(t *testing.T) {
	secret, key := givenAgent(t, created(), generated(first, "s1")), givenAgent(t, created(), generatedKey())
	secret.when(RotateCredential{Caller: colleague, PublicKey: jwk, At: noon}).thenRefused(CodeValidation, "publicKeyJwk")
	key.when(RotateCredential{Caller: colleague, Verifier: verifier("s2"), At: noon}).thenRefused(CodeValidation, "publicKeyJwk")
	key.when(RotateCredential{Caller: colleague, Verifier: verifier("s2"), PublicKey: otherJWK, At: noon}).thenRefused(CodeValidation, "credential")
	key.when(RotateCredential{Caller: colleague, PublicKey: otherJWK, At: noon}).
		then(CredentialRotated{AgentID: robot, CredentialID: first, PublicKey: otherJWK})
}

func TestRotationWithoutAnIDTakesTheNewestUsable(t *testing.T) {
	expired := generated(second, "s2")
	expired.ExpiresAt = new(noon)
	cmd := RotateCredential{Caller: colleague, Verifier: verifier("s3"), At: noon}
	rotated := func(id CredentialID) CredentialRotated {
		return CredentialRotated{AgentID: robot, CredentialID: id, Verifier: verifier("s3")}
	}
	givenAgent(t, created(), generated(first, "s1"), generated(second, "s2")).when(cmd).then(rotated(second))
	givenAgent(t, created(), generated(first, "s1"), generated(second, "s2"), revoked(second)).when(cmd).then(rotated(first))
	givenAgent(t, created(), generated(first, "s1"), expired).when(cmd).then(rotated(first))
	givenAgent(t, created(), expired).when(cmd).thenRefused(CodeCredentialNotFound, "")
}

func TestRotationSetsTheExpiryAnew(t *testing.T) {
	expired := generated(first, "s1")
	expired.ExpiresAt = new(noon)
	s := givenAgent(t, created(), expired).
		when(RotateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("s2"), At: noon}).
		then(CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2")})
	if c, _ := s.state.Credential(first); !c.ExpiresAt.IsZero() || !c.RotatedAt.Equal(noon) || !c.UsableAt(inADay) {
		t.Errorf("after rotation: %+v", c)
	}
}

func TestCredentialsThatAreNotThereOrDead(t *testing.T) {
	s := givenAgent(t, created(), generated(first, "s1"), revoked(first))
	for caller, code := range map[*Caller]Code{&colleague: CodeCrossTenant, &operator: CodeCredentialNotFound} {
		s.when(RotateCredential{Caller: *caller, CredentialID: second, Verifier: verifier("x"), At: noon}).thenRefused(code, "")
		s.when(RevokeCredential{Caller: *caller, CredentialID: second}).thenRefused(code, "")
	}
	s.when(RotateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("x"), At: noon}).thenRefused(CodeCredentialAlreadyRevoked, "")
	s.when(RevokeCredential{Caller: colleague, CredentialID: first}).thenRefused(CodeCredentialAlreadyRevoked, "")
	s.when(RevokeCredential{Caller: colleague, CredentialID: first, Reason: strings.Repeat("x", 257)}).thenRefused(CodeValidation, "reason")
}

func TestExpiryLiesInTheFuture(t *testing.T) {
	farthest := time.Date(9999, time.December, 31, 23, 59, 59, 0, time.FixedZone("west", -3600)) // the year 10000 in UTC
	for name, at := range map[string]time.Time{"now": noon, "past": noon.Add(-1), "beyond the calendar": farthest} {
		t.Run(name, func(t *testing.T) {
			s := givenAgent(t, created(), generated(first, "s1"))
			s.when(GenerateCredential{Caller: colleague, CredentialID: second, Verifier: verifier("x"), ExpiresAt: &at, At: noon}).
				thenRefused(CodeValidation, "expiresAt")
			s.when(RotateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("x"), ExpiresAt: &at, At: noon}).
				thenRefused(CodeValidation, "expiresAt")
		})
	}
}

func TestActiveCredentialsAreBounded(t *testing.T) {
	past := []Event{created()}
	ids := make([]CredentialID, MaxActiveCredentials)
	for i := range ids {
		ids[i] = CredentialID{uuid.UUID{15: byte(i + 1)}}
		past = append(past, generated(ids[i], ids[i].String()))
	}
	full := givenAgent(t, past...)
	one := GenerateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("one more"), At: noon}
	full.when(one).thenRefused(CodeValidation, "credentials")

	t.Run("revoked ones do not count", func(t *testing.T) {
		givenAgent(t, append(slices.Clone(past), revoked(ids[0]))...).when(one).then(generated(first, "one more"))
	})
	t.Run("expired ones do not count, and come back only if there is room", func(t *testing.T) {
		expired := generated(second, "expired")
		expired.ExpiresAt = new(noon)
		back := RotateCredential{Caller: colleague, CredentialID: second, Verifier: verifier("x"), At: noon}
		givenAgent(t, append(slices.Clone(past), expired)...).when(back).thenRefused(CodeValidation, "credentials")
		givenAgent(t, append(slices.Clone(past[:MaxActiveCredentials]), expired)...).when(back).
			then(CredentialRotated{AgentID: robot, CredentialID: second, Verifier: verifier("x")})
	})
}

// However many an old agent has had, those that are there go on.
func TestCredentialsEverAreBounded(t *testing.T) {
	past := []Event{created()}
	for i := range MaxCredentials + 1 {
		id := CredentialID{uuid.UUID{14: byte(i >> 8), 15: byte(i), 0: 7}}
		past = append(past, generated(id, id.String()), revoked(id))
	}
	one := GenerateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("one more"), At: noon}
	givenAgent(t, past[:2*MaxCredentials-1]...).when(one).then(generated(first, "one more"))
	givenAgent(t, past[:2*MaxCredentials+1]...).when(one).thenRefused(CodeValidation, "credentials")
	beyond := givenAgent(t, append(past, generated(first, "s1"))...)
	beyond.when(one).then(CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("one more")})
}

// Of what has ended there is left that it was there.
func TestTheDeadAreForgottenButForTheirNames(t *testing.T) {
	agent := givenAgent(t, created(), generatedKey(), revoked(first), generated(second, "s2")).state.WithoutDead()
	dead, found := agent.Credential(first)
	if !found || dead.PublicKey != nil || dead.Verifier.MAC != nil || dead.Status != CredentialIsRevoked || dead.Kind != KeyCredential || dead.RevokedAt.IsZero() {
		t.Errorf("revoked key %+v", dead)
	}
	if living, _ := agent.Credential(second); len(living.Verifier.MAC) == 0 {
		t.Errorf("living secret %+v", living)
	}
	if _, err := agent.Authenticate(Proof{CredentialID: first, PublicKey: jwk}, noon); err == nil {
		t.Error("a key that is gone authenticates")
	}
}

// Whoever holds a credential of an agent holds all of its scopes.
func TestNobodyGetsHoldOfScopesThroughACredential(t *testing.T) {
	for _, scopes := range []Scopes{NewScopes(ScopeAdminOrgs, ScopeAgentsWrite), NewScopes(ScopeAuditRead)} {
		t.Run(scopes.String(), func(t *testing.T) { nobodyGetsHoldOf(t, scopes) })
	}
}

func nobodyGetsHoldOf(t *testing.T, scopes Scopes) {
	admin := created()
	admin.Scopes = scopes
	token := func(scopes ...Scope) Caller {
		c := colleague
		c.AgentID, c.Scopes = robot, NewScopes(scopes...)
		return c
	}
	for name, test := range map[string]struct {
		caller  Caller
		refused bool
	}{
		"a colleague":                              {colleague, true},
		"the operator":                             {operator, false},
		"the agent itself, with a narrow token":    {token(ScopeAgentsWrite), true},
		"the agent itself, with openid alone":      {token(ScopeOpenID), true},
		"the agent itself, with all of its scopes": {token(scopes...), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := givenAgent(t, admin, generated(first, "s1"))
			generate := s.when(GenerateCredential{Caller: test.caller, CredentialID: second, Verifier: verifier("s2"), At: noon})
			rotate := s.when(RotateCredential{Caller: test.caller, CredentialID: first, Verifier: verifier("s2"), At: noon})
			if test.refused {
				generate.thenRefused(CodeScopeNotAllowed, "scopes")
				rotate.thenRefused(CodeScopeNotAllowed, "scopes")
				return
			}
			generate.then(generated(second, "s2"))
			rotate.then(CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2")})
		})
	}
}

func expiring(id CredentialID, secret string, at time.Time) CredentialGenerated {
	e := generated(id, secret)
	e.ExpiresAt = &at
	return e
}

func expired(id CredentialID, at time.Time) CredentialExpired {
	return CredentialExpired{AgentID: robot, CredentialID: id, ExpiredAt: at}
}

func TestExpiryIsPutOnRecordOncePerCredential(t *testing.T) {
	ago := noon.Add(-time.Minute)
	s := givenAgent(t, created(), expiring(first, "s1", ago), expiring(second, "s2", noon)).
		when(ExpireCredentials{At: noon.Add(-time.Second)}).then(expired(first, ago))
	if got, _ := s.state.Credential(first); got.Status != CredentialIsExpired || !got.ExpiresAt.Equal(ago) {
		t.Errorf("the credential is %+v, want expired a minute ago", got)
	}
	s.when(ExpireCredentials{At: noon.Add(-time.Second)}).thenNothing()
	s.when(ExpireCredentials{At: noon}).then(expired(second, noon)).when(ExpireCredentials{At: inADay}).thenNothing()
}

func TestWhatHasNotExpiredIsNotPutOnRecord(t *testing.T) {
	for name, events := range map[string][]Event{
		"no agent":          nil,
		"without an expiry": {created(), generated(first, "s1")},
		"later":             {created(), expiring(first, "s1", inADay)},
		"revoked":           {created(), expiring(first, "s1", noon.Add(-time.Minute)), revoked(first)},
	} {
		t.Run(name, func(t *testing.T) { givenAgent(t, events...).when(ExpireCredentials{At: noon}).thenNothing() })
	}
}

func TestAnExpiredCredential(t *testing.T) {
	ago := noon.Add(-time.Minute)
	s := givenAgent(t, created(), expiring(first, "s1", ago), expired(first, ago))
	s.when(IssueToken{Proof: secretProof("s1"), At: noon}).thenNotAuthenticated(AuthCredentialExpired)
	s.when(RevokeCredential{Caller: colleague, CredentialID: first, Reason: "leaked"}).then(revoked(first)).
		when(RotateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("s2"), At: noon}).
		thenRefused(CodeCredentialAlreadyRevoked, "")
	s.when(DecommissionAgent{Caller: colleague}).
		then(CredentialRevoked{AgentID: robot, CredentialID: first, Reason: "agent decommissioned"}, AgentDecommissioned{AgentID: robot})
	back := s.when(RotateCredential{Caller: colleague, CredentialID: first, Verifier: verifier("s2"), ExpiresAt: &inADay, At: noon}).
		then(CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2"), ExpiresAt: &inADay})
	if got, _ := back.state.Credential(first); !got.UsableAt(noon) {
		t.Errorf("the rotated credential is %+v, want usable again", got)
	}
	back.when(ExpireCredentials{At: inADay}).then(expired(first, inADay))
}
