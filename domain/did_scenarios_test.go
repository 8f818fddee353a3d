package domain

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	firstDIDKey  = json.RawMessage(`{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`)
	secondDIDKey = json.RawMessage(`{"crv":"P-256","kty":"EC","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`)
)

func didCreated() DIDCreated {
	return DIDCreated{AgentID: robot, DID: "did:web:id.test:agents:" + robot.String(), KeyNumber: 1, PublicKey: firstDIDKey, Custody: CustodyServer}
}

func rotateTo(key json.RawMessage, change func(*RotateDIDKey)) RotateDIDKey {
	c := RotateDIDKey{Caller: colleague, PublicKey: key, Custody: CustodyAgent}
	if change != nil {
		change(&c)
	}
	return c
}

// rotatedTo is the n-th key, which is no point of the curve and like no other.
func rotatedTo(n int) DIDKeyRotated {
	x := strings.Repeat("A", 40) + fmt.Sprintf("%02dA", n)
	return DIDKeyRotated{
		AgentID: robot, KeyNumber: n, Custody: CustodyAgent,
		PublicKey: json.RawMessage(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + strings.Repeat("A", 43) + `"}`),
	}
}

func TestRegistrationMakesTheDIDWithItsFirstKey(t *testing.T) {
	want := didCreated()
	want.DID = created().DID
	s := givenAgent(t).when(registerRobot(func(c *RegisterAgent) { c.DIDKey = firstDIDKey })).then(created(), want)
	got := s.state
	if got.Keys.Current.Fragment() != "#key-1" || !got.Keys.CreatedAt.Equal(noon) || got.Edition != 1 {
		t.Errorf("after registration: %+v, edition %d; a DID is no change of the agent itself", got.Keys, got.Edition)
	}
	givenAgent(t).when(registerRobot(func(c *RegisterAgent) { c.DIDKey = otherJWK })).thenRefused(CodeValidation, "publicKeyJwk")
}

func TestAnOlderAgentGetsItsDIDOnce(t *testing.T) {
	want := didCreated()
	want.DID = created().DID
	create := CreateDID{DID: "did:web:elsewhere", PublicKey: firstDIDKey}
	givenAgent(t, created()).when(create).then(want).when(create).thenNothing()
	nameless := created()
	nameless.DID, want.DID = "", "did:web:elsewhere"
	givenAgent(t, nameless).when(create).then(want)
	givenAgent(t, created(), decommissioned()).when(create).thenNothing()
	givenAgent(t).when(create).thenNothing()
}

func TestKeysAreNumberedAndNeverComeBack(t *testing.T) {
	s := givenAgent(t, created(), didCreated()).
		when(rotateTo(secondDIDKey, nil)).then(DIDKeyRotated{AgentID: robot, KeyNumber: 2, PublicKey: secondDIDKey, Custody: CustodyAgent})
	s.when(rotateTo(secondDIDKey, nil)).thenNothing()
	s.when(rotateTo(firstDIDKey, nil)).thenRefused(CodeValidation, "publicKeyJwk")
	keys := s.state.Keys
	if len(keys.Retired) != 1 || keys.Retired[0].Fragment() != "#key-1" || !keys.Retired[0].RevokedAt.Equal(noon) {
		t.Errorf("retired: %+v", keys.Retired)
	}
	facts := []Event{created(), didCreated()}
	for n := 2; n <= MaxRetiredKeys+5; n++ {
		facts = append(facts, rotatedTo(n))
	}
	many := givenAgent(t, facts...)
	if got := many.state.Keys; len(got.Retired) != MaxRetiredKeys || got.Retired[0].Number != 5 || got.Current.Number != MaxRetiredKeys+5 {
		t.Errorf("%d retired, from %d on, current %d", len(got.Retired), got.Retired[0].Number, got.Current.Number)
	}
}

func TestTheFirstKeyMayBeTheAgentsOwn(t *testing.T) {
	want := didCreated()
	want.DID, want.Custody = created().DID, CustodyAgent
	givenAgent(t, created()).when(rotateTo(firstDIDKey, nil)).then(want)
}

// A request that was taken for dead wakes up after its repetition was answered.
func TestALateRotationReplacesNoNewerKeyOfTheServers(t *testing.T) {
	late := rotateTo(secondDIDKey, func(c *RotateDIDKey) { c.Custody, c.Since = CustodyServer, noon.Add(-time.Hour) })
	givenAgent(t, created(), didCreated()).when(late).thenNothing()
	late.Since = noon
	givenAgent(t, created(), didCreated()).when(late).then(DIDKeyRotated{AgentID: robot, KeyNumber: 2, PublicKey: secondDIDKey, Custody: CustodyServer})
}

func TestOnlyKeysOnP256(t *testing.T) {
	for bad, field := range map[string]string{
		`"text"`: "publicKeyJwk", `{}`: "publicKeyJwk", `{"kty":"RSA","n":"AQAB","e":"AQAB"}`: "publicKeyJwk",
		`{"kty":"EC","crv":"P-384"}`: "publicKeyJwk", `{"kty":"EC","crv":"P-256"}`: "publicKeyJwk.x",
		strings.Replace(string(firstDIDKey), "f83O", "f83", 1): "publicKeyJwk.x",
		strings.Replace(string(firstDIDKey), "VEU", "VEV", 1):  "publicKeyJwk.x",
	} {
		givenAgent(t, created(), didCreated()).when(rotateTo(json.RawMessage(bad), nil)).thenRefused(CodeValidation, field)
	}
	named := strings.Replace(string(secondDIDKey), "{", `{"kid":"mine","use":"sig",`, 1)
	givenAgent(t, created(), didCreated()).when(rotateTo(json.RawMessage(named), nil)).
		then(DIDKeyRotated{AgentID: robot, KeyNumber: 2, PublicKey: secondDIDKey, Custody: CustodyAgent})
}

func TestADecommissionedAgentHasNoKey(t *testing.T) {
	s := givenAgent(t, created(), didCreated()).when(DecommissionAgent{Caller: operator}).then(AgentDecommissioned{AgentID: robot})
	if keys := s.state.Keys; keys.Current.Number != 0 || len(keys.Retired) != 1 || !keys.UpdatedAt().Equal(noon) {
		t.Errorf("keys: %+v", keys)
	}
	s.when(rotateTo(secondDIDKey, nil)).thenRefused(CodeAgentDecommissioned, "")
}

// A key that somebody brings is worth the agent; one that the server keeps is
// worth nothing, but ends the one before.
func TestNobodySpeaksForWhatIsMoreThanTheirToken(t *testing.T) {
	narrow := colleague
	narrow.Scopes = NewScopes(ScopeAgentsWrite)
	lentTo := colleague
	lentTo.Delegation = lent
	for name, caller := range map[string]Caller{"narrow": narrow, "lent": lentTo} {
		for _, custody := range []KeyCustody{CustodyAgent, CustodyServer} {
			t.Run(name+" "+string(custody), func(t *testing.T) {
				givenAgent(t, created(), didCreated()).
					when(RotateDIDKey{Caller: caller, PublicKey: secondDIDKey, Custody: custody}).thenRefused(CodeScopeNotAllowed, "scopes")
			})
		}
	}
}
