package bundle_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/rounds"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/replaytest"
	"github.com/sentryagent/agentidp/replay/verify"
)

// What an agent's stream must have before a token of the agent counts, and what
// the stream of a delegation must not need.
func TestATokenNeedsACredentialThatTheLedgerKnows(t *testing.T) {
	t.Parallel()
	agent, other := domain.AgentID{UUID: uuid.New()}, domain.AgentID{UUID: uuid.New()}
	credential, delegation := domain.CredentialID{UUID: uuid.New()}, domain.DelegationID{UUID: uuid.New()}
	generated := domain.CredentialGenerated{AgentID: agent, CredentialID: credential, Kind: domain.SecretCredential}
	rotated := domain.CredentialRotated{AgentID: agent, CredentialID: credential}
	revoked := domain.CredentialRevoked{AgentID: agent, CredentialID: credential}
	issued := domain.TokenIssued{
		AgentID: agent, TokenID: domain.TokenID{UUID: uuid.New()}, CredentialID: credential, AuthMethod: domain.SecretCredential,
		Scope: "agents:read", Audience: "https://idp.example", Algorithm: "ES256", KeyID: "k1", ExpiresAt: time.Now().UTC().Truncate(time.Second),
	}
	escaped, lent, forged := issued, issued, issued
	escaped.Audience = `https://"idp".example`
	lent.Delegation, lent.Subject, lent.AuthMethod = &delegation, &other, domain.ActorToken
	forged.AgentID = other
	emptied, emptiedButKept := domain.AgentAccessRevoked{AgentID: agent, Credentials: true}, domain.AgentAccessRevoked{AgentID: agent}
	era := domain.OrganizationAccessRevoked{OrganizationID: replaytest.Ours, Credentials: true, Era: 1}
	noEra := domain.OrganizationAccessRevoked{OrganizationID: replaytest.Ours}
	generatedInEra := generated
	generatedInEra.Era = 1
	organization, otherOrganization := domain.OrganizationStream(replaytest.Ours), domain.OrganizationStream(domain.OrganizationID{UUID: uuid.New()})
	own, others, lending := domain.AgentStream(agent), domain.AgentStream(other), domain.DelegationStream(delegation)
	type fact struct {
		stream string
		event  domain.Event
	}
	later := fact{} // more than an hour
	for name, test := range map[string]struct {
		facts []fact
		wrong bool
	}{
		"generated":                             {[]fact{{own, generated}, {own, issued}}, false},
		"never generated":                       {[]fact{{own, issued}}, true},
		"never generated, read the slow way":    {[]fact{{own, escaped}}, true},
		"generated later":                       {[]fact{{own, issued}, {own, generated}}, true},
		"rotated":                               {[]fact{{own, generated}, {own, rotated}, {own, issued}}, false},
		"revoked":                               {[]fact{{own, generated}, {own, revoked}, {own, issued}}, true},
		"revoked later":                         {[]fact{{own, generated}, {own, issued}, {own, revoked}}, false},
		"generated on another's stream":         {[]fact{{others, generated}, {own, issued}}, true},
		"revoked on another's stream":           {[]fact{{own, generated}, {others, revoked}, {own, issued}}, false},
		"generated again after its revocation":  {[]fact{{own, generated}, {own, revoked}, {own, generated}, {own, issued}}, true},
		"another agent's":                       {[]fact{{own, generated}, {others, forged}}, true},
		"on another agent's stream":             {[]fact{{own, generated}, {others, issued}}, true},
		"lent":                                  {[]fact{{own, generated}, {lending, lent}}, false},
		"lent, revoked at the same moment":      {[]fact{{own, generated}, {own, revoked}, {lending, lent}}, false},
		"lent, never generated":                 {[]fact{{lending, lent}}, true},
		"lent, on the agent's stream, revoked":  {[]fact{{own, generated}, {own, revoked}, {own, lent}}, true},
		"all access ended":                      {[]fact{{own, generated}, {own, emptied}, {own, issued}}, true},
		"all access ended, credentials kept":    {[]fact{{own, generated}, {own, emptiedButKept}, {own, issued}}, false},
		"all access ended before":               {[]fact{{own, emptied}, {own, generated}, {own, issued}}, false},
		"all access of another agent ended":     {[]fact{{own, generated}, {others, emptied}, {own, issued}}, false},
		"an era began long before":              {[]fact{{own, generated}, {organization, era}, later, {own, issued}}, true},
		"an era began at the same moment":       {[]fact{{own, generated}, {organization, era}, {own, issued}}, false},
		"generated in the era":                  {[]fact{{organization, era}, {own, generatedInEra}, later, {own, issued}}, false},
		"generated late, of the era before":     {[]fact{{organization, era}, {own, generated}, later, {own, issued}}, true},
		"access ended, and no era began":        {[]fact{{own, generated}, {organization, noEra}, later, {own, issued}}, false},
		"an era on another stream":              {[]fact{{own, generated}, {otherOrganization, era}, later, {own, issued}}, false},
		"not lent, on a stream of a delegation": {[]fact{{own, generated}, {lending, issued}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := replaytest.Write(replaytest.Seed, 200, time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC))
			at := 0
			for _, f := range test.facts {
				if f == later {
					b.Wait(2 * time.Hour)
					continue
				}
				if f.event.EventType() == "token.issued" {
					at = len(b.Events)
				}
				b.Append(f.stream, replaytest.Ours, f.event)
			}
			s := replaytest.Shelf{Events: b.Events}
			report, err := verify.New(s, verify.Options{Logs: s, VerifierKey: replaytest.VerifierKey}).Verify(t.Context(), verify.Scope{})
			if err != nil {
				t.Fatal(err)
			}
			switch found := report.Break; {
			case !test.wrong && found != nil:
				t.Errorf("found %v, want nothing", found)
			case test.wrong && (found == nil || found.Kind != verify.UnfoundedToken || found.EventID != b.Events[at].ID || found.Index != int64(at)):
				t.Errorf("found %v, want %s at index %d", found, verify.UnfoundedToken, at)
			}
			var out bytes.Buffer
			if _, err := (&bundle.Exporter{Store: s, Logs: s, VerifierKey: replaytest.VerifierKey}).Export(t.Context(), &out, domain.OrganizationID{}); err != nil {
				t.Fatal(err)
			}
			opened, err := bundle.Open(bytes.NewReader(out.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			offline, err := opened.Verify(t.Context(), bundle.Options{VerifierKey: replaytest.VerifierKey(transparency.Whole)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(report.Break, offline.Break); diff != "" || !offline.Tokens || !report.Tokens {
				t.Errorf("of the bundle found %v, tokens held against credentials %v and %v; the ledger's is another: %s", offline.Break, report.Tokens, offline.Tokens, diff)
			}
			if report.Checkpoint == nil || report.Checked != int64(len(b.Events)) {
				t.Errorf("checked %d, agrees with %v; want all of %d events and the checkpoint", report.Checked, report.Checkpoint, len(b.Events))
			}
		})
	}
}

// A bundle may be anybody's. One with more credentials than a reader remembers
// proves what it did, and the report says that tokens were not looked at.
func TestTokensOfABundleWithTooManyCredentialsAreNotHeldAgainstThem(t *testing.T) {
	rounds.NoRace(t)
	t.Parallel()
	agent := domain.AgentID{UUID: uuid.New()}
	b := replaytest.Write(replaytest.Seed, 10, time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC))
	for range 1<<18 + 1 {
		b.Append(domain.AgentStream(agent), replaytest.Ours, domain.CredentialGenerated{
			AgentID: agent, CredentialID: domain.CredentialID{UUID: uuid.New()}, Kind: domain.SecretCredential,
		})
	}
	s := replaytest.Shelf{Events: b.Events}
	var out bytes.Buffer
	if _, err := (&bundle.Exporter{Store: s, Logs: s, VerifierKey: replaytest.VerifierKey}).Export(t.Context(), &out, domain.OrganizationID{}); err != nil {
		t.Fatal(err)
	}
	opened, err := bundle.Open(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	report, err := opened.Verify(t.Context(), bundle.Options{VerifierKey: replaytest.VerifierKey(transparency.Whole)})
	if err != nil || report.Break != nil || report.Tokens || report.Checked != int64(len(b.Events)) {
		t.Errorf("got %+v, %v; want all events checked and tokens not", report, err)
	}
}
