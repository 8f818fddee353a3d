package api_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/server/upkeep"
)

// append puts an event into the ledger past all commands, with a valid chain.
func (s *scene) append(tb testing.TB, stream string, event eventstore.Draft) {
	tb.Helper()
	l := s.openLedger(tb)
	defer l.Close()
	if _, err := l.Store.Append(tb.Context(), stream, eventstore.Any(), event); err != nil {
		tb.Fatal(err)
	}
}

// openLedger opens the ledger as an auditor does, whichever engine it is on.
func (s *scene) openLedger(tb testing.TB) *upkeep.Ledger {
	tb.Helper()
	l, err := upkeep.OpenLedger(tb.Context(), s.world.Config(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// events counts what the ledger holds of an organization, or, of "", all of it.
func (s *scene) events(tb testing.TB, organization string) (count float64) {
	tb.Helper()
	l := s.openLedger(tb)
	defer l.Close()
	var filter eventstore.Filter
	if organization != "" {
		filter.Organization = uuid.MustParse(organization)
	}
	for _, err := range l.Store.ReadAll(tb.Context(), 0, filter) {
		if err != nil {
			tb.Fatal(err)
		}
		count++
	}
	return count
}

func TestAuditFilters(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	peer := s.agent(t, n.organization, "agents:read")
	s.must(t, patch(n.token, peer.path(), map[string]any{"owner": "other"}), 200, "")
	s.must(t, tokenRequest(agent{id: peer.id, secret: "wrong"}, ""), 401, "")
	all := s.must(t, get(n.token, "/api/v1/audit?limit=100"), 200, "")
	want := []string{
		"auth.failed", "agent.updated", "credential.generated", "did.created", "agent.created",
		"token.issued", "credential.generated", "did.created", "agent.created", "organization.created",
	}
	if diff := cmp.Diff(want, texts(all.list("data"), "action")); diff != "" || all.number("total") != float64(len(want)) {
		t.Errorf("total %v, actions -want +got:\n%s", all.number("total"), diff)
	}
	middle, _ := all.list("data")[4]["timestamp"].(string) // when the peer was created
	for query, want := range map[string][]string{
		"agentId=" + peer.id:                                    {"auth.failed", "agent.updated", "credential.generated", "did.created", "agent.created"},
		"agentId=" + peer.id + "&action=agent.created":          {"agent.created"},
		"action=agent.created":                                  {"agent.created", "agent.created"},
		"action=token.issued":                                   {"token.issued"},
		"action=webhook.created":                                {},
		"outcome=failure":                                       {"auth.failed"},
		"outcome=failure&action=agent.created":                  {},
		"outcome=success&agentId=" + peer.id:                    {"agent.updated", "credential.generated", "did.created", "agent.created"},
		"agentId=" + uuid.NewString():                           {},
		"fromDate=2100-01-01T00:00:00Z":                         {},
		"toDate=2001-01-01T00:00:00Z":                           {},
		"action=organization.created&toDate=" + middle:          {"organization.created"},
		"action=agent.updated&fromDate=" + middle:               {"agent.updated"},
		"action=organization.created&fromDate=" + middle:        {},
		"action=agent.updated&organizationId=" + n.organization: {"agent.updated"},
	} {
		if diff := cmp.Diff(want, texts(s.must(t, get(n.token, "/api/v1/audit?"+query), 200, "").list("data"), "action"), equalEmpty); diff != "" {
			t.Errorf("%s: actions -want +got:\n%s", query, diff)
		}
	}
}

var equalEmpty = cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) })

// The trail tells how the ledger recognizes a secret to nobody.
func TestAuditShowsNoVerifier(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	answer := s.must(t, get(n.token, "/api/v1/audit?action=credential.generated"), 200, "")
	metadata, _ := answer.list("data")[0]["metadata"].(map[string]any)
	if metadata["credentialId"] != n.credential || strings.Contains(string(answer.body), "verifier") || strings.Contains(string(answer.body), "mac") {
		t.Errorf("the trail shows %s", answer.body)
	}
}

func TestAuditPagesAndCursorsCoverEverythingOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	change := func(i int) {
		t.Helper()
		s.must(t, patch(n.token, n.path(), map[string]any{"description": fmt.Sprint("change ", i)}), 200, "")
	}
	for i := range 20 {
		change(i)
	}
	first := s.must(t, get(n.token, "/api/v1/audit?limit=100"), 200, "")
	want := texts(first.list("data"), "eventId")
	if first.object()["nextCursor"] != nil {
		t.Errorf("a cursor at the end: %v", first.object()["nextCursor"])
	}
	var paged []string
	for page := 1; page <= len(want)/7+1; page++ {
		paged = append(paged, texts(s.must(t, get(n.token, fmt.Sprintf("/api/v1/audit?limit=7&page=%d", page)), 200, "").list("data"), "eventId")...)
	}
	if !slices.Equal(paged, want) {
		t.Errorf("pages give %v, want %v", paged, want)
	}
	var followed []string
	path := "/api/v1/audit?limit=3"
	for i := 100; path != ""; i++ {
		answer := s.must(t, get(n.token, path), 200, "")
		followed = append(followed, texts(answer.list("data"), "eventId")...)
		change(i) // events arrive all the while
		path = ""
		if next := answer.text("nextCursor"); next != "" {
			path = "/api/v1/audit?limit=3&cursor=" + next
		}
	}
	if !slices.Equal(followed, want) {
		t.Errorf("cursors give %v, want %v", followed, want)
	}
	cursor := s.must(t, get(n.token, "/api/v1/audit?limit=3"), 200, "").text("nextCursor")
	s.must(t, get(n.token, "/api/v1/audit?page=2&cursor="+cursor), 400, "VALIDATION_ERROR")
	other := s.tenant(t)
	for _, event := range s.must(t, get(other.token, "/api/v1/audit?limit=3&cursor="+cursor), 200, "").list("data") {
		if event["organizationId"] != other.organization {
			t.Errorf("another's cursor opens another's trail: %v", event)
		}
	}
}

// The query API shows as much of the past as the tier, or the setting, says.
// The ledger keeps all of it, and verification covers it.
func TestRetentionBoundsTheQueryAPIAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	set := s.another(t, "AUDIT_RETENTION_DAYS=30")
	for tier, shown := range map[string][]int{"free": {10, 80}, "pro": {10, 80, 100, 300}, "enterprise": {10, 80, 100, 300, 400}} {
		n := agent{organization: s.organization(t, map[string]any{"planTier": tier, "maxAgents": 5})}
		n = s.agent(t, n.organization, tenantScopes)
		token := s.token(t, n, "")
		events := map[int]uuid.UUID{}
		for _, days := range []int{400, 300, 100, 80, 10} {
			events[days] = s.past(t, n, days)
		}
		listed := func(server *server) (days []int) {
			ids := texts(server.must(t, get(token, "/api/v1/audit?action=auth.failed"), 200, "").list("data"), "eventId")
			for day, id := range events {
				status, code := 404, "NOT_FOUND"
				if slices.Contains(ids, id.String()) {
					days, status, code = append(days, day), 200, ""
				}
				server.must(t, get(token, "/api/v1/audit/"+id.String()), status, code)
			}
			slices.Sort(days)
			return days
		}
		if got := listed(s.server); !slices.Equal(got, shown) {
			t.Errorf("%s: shows events of %v days ago, want %v", tier, got, shown)
		}
		if got := listed(set); !slices.Equal(got, []int{10}) {
			t.Errorf("%s: with AUDIT_RETENTION_DAYS=30 shows events of %v days ago", tier, got)
		}
		report := s.must(t, get(token, "/api/v1/audit/verify"), 200, "")
		if report.object()["verified"] != true || report.number("checkedCount") != s.events(t, n.organization) {
			t.Errorf("%s: verification %s, want all %v events", tier, report.body, s.events(t, n.organization))
		}
	}
}

// past appends a failed authentication that happened some days ago.
func (s *scene) past(tb testing.TB, a agent, days int) uuid.UUID {
	tb.Helper()
	at := time.Now().UTC().AddDate(0, 0, -days)
	data, err := json.Marshal(domain.AuthFailed{ClientID: a.id, Reason: domain.AuthWrongSecret})
	if err != nil {
		tb.Fatal(err)
	}
	event := eventstore.Draft{
		ID: mintedAt(at), Type: "auth.failed", Schema: 1, Organization: uuid.MustParse(a.organization),
		Actor: eventstore.Actor{Kind: "anonymous"}, Time: at, Data: data,
	}
	s.append(tb, domain.SecurityStream(at.Format(time.DateOnly)), event)
	return event.ID
}

// mintedAt is an id that was made then (RFC 9562 section 5.7).
func mintedAt(at time.Time) uuid.UUID {
	id := uuid.Must(uuid.NewV7())
	var milliseconds [8]byte
	binary.BigEndian.PutUint64(milliseconds[:], uint64(at.UnixMilli())<<16)
	copy(id[:6], milliseconds[:])
	return id
}

// An altered row is named to the operator and to the tenant it belongs to.
func TestVerificationNamesTheAlteredEvent(t *testing.T) {
	t.Parallel()
	s := newScene(t, "EVENTSTORE=postgres")
	victim, other := s.tenant(t), s.tenant(t)
	s.must(t, patch(victim.token, victim.path(), map[string]any{"owner": "somebody"}), 200, "")
	verify := func(token string) map[string]any {
		t.Helper()
		body := s.must(t, get(token, "/api/v1/audit/verify"), 200, "").object()
		for _, ofLog := range []string{"treeSize", "rootHash", "checkpoint"} { // how far that is depends on when one asks
			delete(body, ofLog)
		}
		return body
	}
	intact := func(count float64) map[string]any {
		return map[string]any{"verified": true, "checkedCount": count, "brokenAtEventId": nil, "break": nil}
	}
	for name, test := range map[string]struct {
		token string
		count float64
	}{
		"operator": {s.operator, s.events(t, "")}, "victim": {victim.token, s.events(t, victim.organization)}, "other": {other.token, s.events(t, other.organization)},
	} {
		if diff := cmp.Diff(intact(test.count), verify(test.token)); diff != "" {
			t.Errorf("%s, before -want +got:\n%s", name, diff)
		}
	}
	created := s.must(t, get(victim.token, "/api/v1/audit?action=agent.created&agentId="+victim.id), 200, "").list("data")[0]["eventId"].(string)
	admin := pgtest.Pool(t, s.world.Database.SuperuserURL)
	for _, statement := range []string{
		`ALTER TABLE events DISABLE TRIGGER ALL`,
		`UPDATE events SET record = convert_to(replace(convert_from(record, 'UTF8'), 'screener', 'operator'), 'UTF8') WHERE id = '` + created + `'`,
		`ALTER TABLE events ENABLE ALWAYS TRIGGER events_are_append_only`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for name, token := range map[string]string{"operator": s.operator, "victim": victim.token} {
		if report := verify(token); report["verified"] != false || report["brokenAtEventId"] != created {
			t.Errorf("%s, after: %v, want it broken at %s", name, report, created)
		} else if found, _ := report["break"].(map[string]any); found["kind"] != "altered_event" || found["eventId"] != created || found["detail"] == "" {
			t.Errorf("%s, after: %v, want an altered event", name, report)
		}
	}
	if diff := cmp.Diff(intact(s.events(t, other.organization)), verify(other.token)); diff != "" {
		t.Errorf("other, after -want +got:\n%s", diff)
	}
	if metrics := s.must(t, get("", "/metrics"), 200, ""); !strings.Contains(string(metrics.body), "agentidp_audit_chain_integrity 0\n") {
		t.Error("the metric says that the chain is intact")
	}
}

func TestVerificationBetweenDates(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	for _, days := range []int{300, 200, 100} {
		s.past(t, n.agent, days)
	}
	at := func(days int) string { return time.Now().UTC().AddDate(0, 0, -days).Format(time.RFC3339) }
	for query, want := range map[string]float64{
		"?fromDate=" + at(250) + "&toDate=" + at(50): 2, "?toDate=" + at(50): 3, "?fromDate=" + at(50): s.events(t, n.organization) - 3,
		"?fromDate=2100-01-01T00:00:00Z": 0, "": s.events(t, n.organization),
	} {
		report := s.must(t, get(n.token, "/api/v1/audit/verify"+query), 200, "")
		if report.object()["verified"] != true || report.number("checkedCount") != want {
			t.Errorf("%s: %s, want %v events intact", query, report.body, want)
		}
	}
}

// No role that the server has, nor the one that owns the table, changes the ledger.
func TestTheLedgerRefusesChangesAndSaysWhy(t *testing.T) {
	t.Parallel()
	s := newScene(t, "EVENTSTORE=postgres")
	head := s.head(t)
	for role, url := range map[string]string{"server": s.world.Database.ServerURL, "owner": s.world.Database.OwnerURL} {
		for _, statement := range []string{"UPDATE events SET type = 'agent.created'", "DELETE FROM events", "TRUNCATE events"} {
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Exec(t.Context(), statement)
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || refused.Code != "42501" {
				t.Errorf("%s: %s: %v, want it refused", role, statement, err)
			} else if why := refused.Message; !strings.Contains(why, "append-only") && !strings.Contains(why, "permission denied for table events") {
				t.Errorf("%s: %s: %q does not say why", role, statement, why)
			}
			if err := conn.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if report := s.must(t, get(s.operator, "/api/v1/audit/verify"), 200, ""); report.number("checkedCount") != head {
		t.Errorf("verification %s, want %v events", report.body, head)
	}
}
