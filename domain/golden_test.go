package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// golden names the file in testdata/golden that an event is kept in:
// <type>.<schema>.json, or <type>.<schema>.<variant>.json. The files are never
// changed: they are what the ledger holds. A new schema gets new files, and the
// old ones go on decoding to today's values.
var golden = map[string]Event{
	"agent.created.1.json": publicAgent(),
	"agent.created.1.minimal.json": AgentCreated{
		AgentID: robot, OrganizationID: acme, Email: "robot@acme.test", Scopes: NewScopes(ScopeAgentsRead),
		Profile: Profile{
			AgentType: AgentCustom, Version: "0.1.0", Capabilities: []string{}, Owner: "me",
			DeploymentEnv: EnvDevelopment, Metadata: json.RawMessage(`{}`),
		},
	},
	"agent.updated.1.json": AgentUpdated{
		AgentID: robot, AgentType: new(AgentRouter), Version: new("2.0.0-rc.1"), Capabilities: &[]string{"resume:read", "resume:*"},
		Owner: new("Zoë & <Co>"), DeploymentEnv: new(EnvStaging), Description: new("two\nlines"),
		Metadata: new(json.RawMessage(`{"a":[1,2.50,null],"b":{"c":"\u003c"}}`)), IsPublic: new(true),
		Scopes: new(NewScopes(ScopeAgentsRead, ScopeOpenID)), ScopesReduced: true,
	},
	"agent.updated.1.minimal.json": AgentUpdated{AgentID: robot},
	"agent.updated.1.emptied.json": AgentUpdated{
		AgentID: robot, Capabilities: &[]string{}, Description: new(""), IsPublic: new(false), Scopes: &Scopes{}, ScopesReduced: true,
	},
	"agent.suspended.1.json":              suspended(),
	"agent.access_revoked.1.json":         AgentAccessRevoked{AgentID: robot, Reason: "its host was searched", Credentials: true},
	"agent.access_revoked.1.kept.json":    AgentAccessRevoked{AgentID: robot, Reason: "its host was searched"},
	"agent.reactivated.1.json":            AgentReactivated{AgentID: robot, Reason: "all is well"},
	"agent.decommissioned.1.json":         decommissioned(),
	"agent.registration_abandoned.1.json": RegistrationAbandoned{AgentID: robot},

	"credential.generated.1.json": CredentialGenerated{
		AgentID: robot, CredentialID: first, Kind: SecretCredential, Verifier: verifier("s1"), ExpiresAt: new(noon.Add(123456 * time.Microsecond)),
	},
	"credential.generated.1.era.json":     generatedInEra(first, "s1", 2),
	"credential.generated.1.key.json":     generatedKey(),
	"credential.generated.1.minimal.json": generated(first, "s1"),
	"credential.rotated.1.json":           CredentialRotated{AgentID: robot, CredentialID: first, Verifier: verifier("s2"), ExpiresAt: &noon},
	"credential.rotated.1.key.json":       CredentialRotated{AgentID: robot, CredentialID: first, PublicKey: otherJWK},
	"credential.rotated.1.kept.json":      CredentialRotated{AgentID: robot, CredentialID: first, PublicKey: otherJWK, DelegationsKept: true},
	"credential.revoked.1.json":           revoked(first),
	"credential.expired.1.json":           CredentialExpired{AgentID: robot, CredentialID: first, ExpiredAt: noon},

	"token.issued.1.json": issued(KeyCredential, "agents:read openid"),
	"token.issued.1.delegated.json": TokenIssued{
		AgentID: sibling, TokenID: tokenID, CredentialID: first, AuthMethod: ActorToken, Scope: "agents:read",
		Audience: "https://api.test", Algorithm: "RS256", KeyID: "k1", ExpiresAt: noon, Delegation: &lent, Subject: &robot,
	},
	"token.revoked.1.json": TokenRevoked{AgentID: robot, TokenID: tokenID, ExpiresAt: noon},
	"auth.failed.1.json":   AuthFailed{ClientID: "not even a UUID", Reason: AuthUnknownClient, Suppressed: 41},
	"auth.failed.1.addresses.json": AuthFailed{
		ClientID: "(many)", Reason: AuthWrongSecret, Suppressed: 7, Addresses: []string{"203.0.113.5", "2001:db8::1"},
	},
	"auth.failed.1.minimal.json": AuthFailed{
		ClientID: robot.String(), Reason: AuthWrongSecret,
	},

	"agent.admin_confirmed.1.json": AdminConfirmed{AgentID: robot, Promotion: 2},

	"did.created.1.json":              didCreated(),
	"did.key_rotated.1.json":          DIDKeyRotated{AgentID: robot, KeyNumber: 2, PublicKey: secondDIDKey, Custody: CustodyAgent},
	"did.instance_key_created.1.json": InstanceKeyCreated{KeyNumber: 1, PublicKey: firstDIDKey},

	"delegation.created.1.json": lentOn(),
	"delegation.created.1.minimal.json": DelegationCreated{
		DelegationID: lent, OrganizationID: acme, DelegatorID: robot, DelegateeID: sibling,
		Scopes: NewScopes(ScopeAgentsRead), TTLSeconds: 60, ExpiresAt: noon,
	},
	"delegation.created.1.credential.json": DelegationCreated{
		DelegationID: lent, OrganizationID: acme, DelegatorID: robot, DelegateeID: sibling,
		Scopes: NewScopes(ScopeAgentsRead), TTLSeconds: 60, ExpiresAt: noon, CredentialID: &first,
	},
	"delegation.created.1.revision.json": DelegationCreated{
		DelegationID: lent, OrganizationID: acme, DelegatorID: robot, DelegateeID: sibling,
		Scopes: NewScopes(ScopeAgentsRead), TTLSeconds: 60, ExpiresAt: noon, CredentialID: &first, CredentialRevision: 7,
	},
	"delegation.revoked.1.json": DelegationRevoked{DelegationID: lent, DelegatorID: robot, RevokedBy: boss, Reason: "done"},

	"organization.created.1.json": OrganizationCreated{
		OrganizationID: acme, Name: "Acme", Slug: "acme", PlanTier: TierPro, MaxAgents: new(3), MaxTokensPerMonth: new(0),
	},
	"organization.created.1.daily.json": OrganizationCreated{
		OrganizationID: acme, Name: "Acme", Slug: "acme", PlanTier: TierFree, MaxCallsPerDay: new(0), MaxTokensPerDay: new(250),
	},
	"organization.created.1.minimal.json": acmeCreated(),
	"organization.updated.1.json": OrganizationUpdated{
		OrganizationID: acme, Name: new("Acme 2"), MaxAgents: &Override{Limit: new(5)}, MaxTokensPerMonth: &Override{},
	},
	"organization.updated.1.daily.json": OrganizationUpdated{
		OrganizationID: acme, MaxCallsPerDay: &Override{Limit: new(2000)}, MaxTokensPerDay: &Override{},
	},
	"organization.updated.1.minimal.json":     OrganizationUpdated{OrganizationID: acme},
	"organization.suspended.1.json":           OrganizationSuspended{OrganizationID: acme},
	"organization.reactivated.1.json":         OrganizationReactivated{OrganizationID: acme},
	"organization.access_revoked.1.json":      OrganizationAccessRevoked{OrganizationID: acme, Reason: "a laptop was stolen", Credentials: true, Era: 2},
	"organization.access_revoked.1.kept.json": OrganizationAccessRevoked{OrganizationID: acme, Reason: "a laptop was stolen"},
	"organization.deleted.1.json":             OrganizationDeleted{OrganizationID: acme},
	"organization.creation_abandoned.1.json":  CreationAbandoned{OrganizationID: acme},
	"organization.member_added.1.json":        memberAdded(robot, RoleAdmin),
	"organization.member_role_changed.1.json": MemberRoleChanged{OrganizationID: acme, AgentID: robot, From: RoleAdmin, Role: RoleMember},
	"organization.member_removed.1.json":      MemberRemoved{OrganizationID: acme, AgentID: robot, Role: RoleAdmin},
	"organization.member_suspended.1.json":    MemberSuspended{OrganizationID: acme, AgentID: robot, Edition: 3},
	"tier.changed.1.json":                     TierChanged{OrganizationID: acme, From: TierFree, To: TierEnterprise, Reason: "contract 7"},

	"seat.taken.1.json":    seatTaken(robot),
	"seat.released.1.json": SeatReleased{OrganizationID: acme, AgentID: robot},
	"seats.closed.1.json":  SeatsClosed{OrganizationID: acme},
	"claim.made.1.json":    ClaimMade{Kind: ClaimEmail, Owner: robot.UUID, OrganizationID: acme},
	"claim.taken_over.1.json": ClaimTakenOver{
		Kind: ClaimSlug, Owner: acme.UUID, OrganizationID: acme, From: rivals.UUID,
	},

	"federation.partner_registered.1.json": PartnerRegistered{
		PartnerID: theirs, OrganizationID: acme, Name: "Beta & Co", Issuer: "https://id.beta.test/realms/A", JWKSURI: "https://id.beta.test/keys",
		AllowedOrganizations: []string{"b-1", "b 2"}, ExpiresAt: &noon,
	},
	"federation.partner_registered.1.minimal.json": partnerRegistered(),
	"federation.partner_updated.1.json": PartnerUpdated{
		PartnerID: theirs, Name: new("Beta 2"), JWKSURI: new("https://id.beta.test/keys2"), AllowedOrganizations: &[]string{"b-3"}, ExpiresAt: &Expiry{Time: &noon},
	},
	"federation.partner_updated.1.emptied.json": PartnerUpdated{PartnerID: theirs, AllowedOrganizations: &[]string{}, ExpiresAt: &Expiry{}},
	"federation.partner_suspended.1.json":       PartnerSuspended{PartnerID: theirs},
	"federation.partner_reactivated.1.json":     PartnerReactivated{PartnerID: theirs},
	"federation.partner_expired.1.json":         PartnerExpired{PartnerID: theirs, ExpiresAt: noon},
	"federation.partner_deleted.1.json":         PartnerDeleted{PartnerID: theirs},
	"federation.registration_abandoned.1.json":  PartnerAbandoned{PartnerID: theirs},
	"claim.made.1.issuer.json":                  ClaimMade{Kind: ClaimIssuer, Owner: theirs.UUID, OrganizationID: acme},

	"ledger.events_lost.1.json":         EventsLost{Origin: "again.acme.test", FormerOrigin: "acme.test", Kept: 64, Known: 76, KnownRoot: "Z29sZGVu", End: 70, KnownEnd: 82},
	"ledger.events_lost.1.minimal.json": EventsLost{Origin: "again.acme.test", FormerOrigin: "acme.test", Kept: 64, Known: 76, KnownRoot: "Z29sZGVu"},
	"signing_key.created.1.json":        SigningKeyCreated{KeyID: "2026-11", Algorithm: "ES256", PublicKey: json.RawMessage(`{"kty":"EC","crv":"P-256"}`)},
	"signing_key.created.1.verify.json": SigningKeyCreated{KeyID: "2026-11", Algorithm: "ES256", PublicKey: json.RawMessage(`{"kty":"EC","crv":"P-256"}`), VerifyOnly: true},
	"signing_key.activated.1.json":      SigningKeyActivated{KeyID: "2026-11", Algorithm: "ES256", ServedSince: &noon},
	"signing_key.activated.1.now.json":  SigningKeyActivated{KeyID: "2026-11", Algorithm: "ES256"},
	"signing_key.retired.1.json":        SigningKeyRetired{KeyID: "2026-11", Algorithm: "ES256"},
	"signing_key.retired.1.once.json":   SigningKeyRetired{KeyID: "2026-11", Algorithm: "ES256", AtOnce: true},
	"signing_key.removed.1.json":        SigningKeyRemoved{KeyID: "2026-11", Algorithm: "ES256"},
}

func publicAgent() AgentCreated {
	e := created()
	e.IsPublic = true
	return e
}

// parseGoldenName splits <type>.<schema>[.<variant>].json; types have dots too.
func parseGoldenName(t testing.TB, name string) (eventType Type, schema int) {
	t.Helper()
	parts := strings.Split(strings.TrimSuffix(name, ".json"), ".")
	for i, part := range parts {
		if n, err := strconv.Atoi(part); err == nil {
			return Type(strings.Join(parts[:i], ".")), n
		}
	}
	t.Fatalf("golden record %s is not named <type>.<schema>.json", name)
	return "", 0
}

func readGolden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatalf("%v\na new event needs a golden record: write the data that Encode gives into this file", err)
	}
	return bytes.TrimSuffix(data, []byte("\n"))
}

func TestGoldenRecordsDecodeForEver(t *testing.T) {
	for name, want := range golden {
		t.Run(name, func(t *testing.T) {
			eventType, schema := parseGoldenName(t, name)
			data := readGolden(t, name)
			got, err := Decode(eventType, schema, data)
			if err != nil {
				t.Fatalf("Decode(%s, %d, %s): %v", eventType, schema, data, err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("Decode(%s, %d, %s) (-want +got)\n%s", eventType, schema, data, cmp.Diff(want, got))
			}
			if got.EventType() != eventType {
				t.Errorf("the catalogue calls it %s, the event itself %s", eventType, got.EventType())
			}
		})
	}
}

func TestEncodeGivesTheGoldenBytes(t *testing.T) {
	for name, event := range golden {
		wantType, wantSchema := parseGoldenName(t, name)
		if wantSchema != catalogue[wantType].schema {
			continue // a schema of the past is read and never written
		}
		t.Run(name, func(t *testing.T) {
			want := readGolden(t, name)
			eventType, schema, data, err := Encode(event)
			if err != nil || eventType != wantType || schema != wantSchema || !bytes.Equal(data, want) {
				t.Errorf("Encode(%+v) = %s, %d, %v\n got %s\nwant %s", event, eventType, schema, err, data, want)
			}
		})
	}
}

func TestEverySchemaOfEveryEventHasAGoldenRecord(t *testing.T) {
	for _, eventType := range Types() {
		for schema := 1; schema <= catalogue[eventType].schema; schema++ {
			name := string(eventType) + "." + strconv.Itoa(schema) + ".json"
			if _, listed := golden[name]; !listed {
				t.Errorf("event %s has no golden record of schema %d: add %s", eventType, schema, name)
			}
		}
	}
	files, err := os.ReadDir(filepath.Join("testdata", "golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, listed := golden[file.Name()]; !listed {
			t.Errorf("golden record %s is checked by nothing: list it in golden", file.Name())
		}
	}
	if !slices.IsSorted(Types()) || len(Types()) != len(catalogue) {
		t.Errorf("Types() = %v, want all %d, sorted", Types(), len(catalogue))
	}
}

// Every field is filled in one of the golden records, so that none escapes
// the round trip.
func TestGoldenRecordsFillEveryField(t *testing.T) {
	filled, fields := map[string]bool{}, map[string]bool{}
	for _, event := range golden {
		v := reflect.ValueOf(event)
		for _, field := range reflect.VisibleFields(v.Type()) {
			name := v.Type().Name() + "." + field.Name
			fields[name] = true
			filled[name] = filled[name] || !v.FieldByIndex(field.Index).IsZero()
		}
	}
	for name := range fields {
		if !filled[name] {
			t.Errorf("%s is zero in every golden record", name)
		}
	}
}

func TestWhatIsNotAnEventIsAnError(t *testing.T) {
	const id = `"0192f3a0-0000-7000-8000-0000000000b1"`
	for name, test := range map[string]struct {
		eventType Type
		schema    int
		data      string
		unknown   bool // want an UnknownEventError
	}{
		"unknown type":    {"agent.promoted", 1, `{}`, true},
		"no type":         {"", 1, `{}`, true},
		"Go name":         {"AgentSuspended", 1, `{}`, true},
		"schema 0":        {"agent.suspended", 0, `{"agentId":` + id + `,"reason":""}`, true},
		"schema -1":       {"agent.suspended", -1, `{"agentId":` + id + `,"reason":""}`, true},
		"schema too new":  {"agent.suspended", catalogue["agent.suspended"].schema + 1, `{"agentId":` + id + `,"reason":""}`, true},
		"unknown field":   {"agent.suspended", 1, `{"agentId":` + id + `,"reason":"","mood":"bad"}`, false},
		"wrong kind":      {"agent.suspended", 1, `{"agentId":` + id + `,"reason":7}`, false},
		"no UUID":         {"agent.suspended", 1, `{"agentId":"robot","reason":""}`, false},
		"null":            {"agent.suspended", 1, `null`, false},
		"array":           {"agent.suspended", 1, `[]`, false},
		"nothing":         {"agent.suspended", 1, ``, false},
		"cut off":         {"agent.suspended", 1, `{"agentId":` + id, false},
		"followed by one": {"agent.suspended", 1, `{"agentId":` + id + `,"reason":""} {}`, false},
		"followed by }":   {"agent.suspended", 1, `{"agentId":` + id + `,"reason":""}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := Decode(test.eventType, test.schema, json.RawMessage(test.data))
			if err == nil {
				t.Fatalf("Decode(%s, %d, %s) = %+v, want an error", test.eventType, test.schema, test.data, event)
			}
			var unknown *UnknownEventError
			if errors.As(err, &unknown) != test.unknown {
				t.Fatalf("Decode: %v, want an UnknownEventError: %v", err, test.unknown)
			}
			if test.unknown && (unknown.Type != test.eventType || unknown.Schema != test.schema) {
				t.Errorf("the error names %s, %d; want %s, %d", unknown.Type, unknown.Schema, test.eventType, test.schema)
			}
			if !strings.Contains(err.Error(), string(test.eventType)) {
				t.Errorf("%q does not name the event", err)
			}
		})
	}
}

type unlisted struct{}

func (unlisted) EventType() Type { return "agent.promoted" }

func TestUnlistedEventIsNotEncoded(t *testing.T) {
	_, _, _, err := Encode(unlisted{})
	var unknown *UnknownEventError
	if !errors.As(err, &unknown) || unknown.Type != "agent.promoted" {
		t.Errorf("Encode: %v, want an UnknownEventError", err)
	}
}

// The ledger is read by auditors and kept for ever: no event has a place
// where a secret could go. What looks like one is listed here with its reason.
func TestNoEventHasRoomForASecret(t *testing.T) {
	innocent := map[string]string{
		"TokenID":    "the jti; it opens nothing",
		"AuthMethod": "names the method",
		"KeyID":      "names a key",
		"PublicKey":  "public",
		"KeyNumber":  "a number",

		"MaxTokensPerMonth": "a number",
		"MaxTokensPerDay":   "a number",
	}
	suspicious := []string{"secret", "password", "private", "token", "passphrase", "bearer", "assertion", "key", "seed", "cookie"}
	var look func(path string, t reflect.Type, report func(path, field string))
	look = func(path string, rt reflect.Type, report func(path, field string)) {
		for rt.Kind() == reflect.Pointer || rt.Kind() == reflect.Slice || rt.Kind() == reflect.Map {
			rt = rt.Elem()
		}
		if rt.Kind() != reflect.Struct || rt.PkgPath() == reflect.TypeFor[time.Time]().PkgPath() {
			return
		}
		for field := range rt.Fields() {
			report(path, field.Name)
			look(path+"."+field.Name, field.Type, report)
		}
	}
	seen := map[Type]bool{}
	for _, event := range golden {
		seen[event.EventType()] = true
		look(string(event.EventType()), reflect.TypeOf(event), func(path, field string) {
			if innocent[field] != "" {
				return
			}
			for _, word := range suspicious {
				if strings.Contains(strings.ToLower(field), word) {
					t.Errorf("%s.%s could hold a secret (%q)", path, field, word)
				}
			}
		})
	}
	for eventType := range catalogue {
		if !seen[eventType] {
			t.Errorf("%s was not looked at: it has no golden record", eventType)
		}
	}
}
