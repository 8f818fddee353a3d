package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/migrations"
)

const (
	controlsPath = "/api/v1/compliance/controls"
	reportPath   = "/api/v1/compliance/report"
	cardsPath    = "/api/v1/compliance/agent-cards"
)

// controls are the statuses by the control's id.
func (s *server) controls() (map[string]string, error) {
	a, err := s.want(get("", controlsPath), 200, "")
	statuses := map[string]string{}
	for _, c := range a.list("controls") {
		statuses[fmt.Sprint(c["id"])] = fmt.Sprint(c["status"])
	}
	return statuses, err
}

func (s *server) untilControls(tb testing.TB, want map[string]string) {
	tb.Helper()
	until(tb, func() error {
		got, err := s.controls()
		for id, status := range want {
			if err == nil && got[id] != status {
				err = fmt.Errorf("controls are %v, want %v", got, want)
			}
		}
		return err
	})
}

func (s *scene) harm(tb testing.TB, statement string, args ...any) {
	tb.Helper()
	connection, err := pgx.Connect(tb.Context(), s.world.Database.SuperuserURL)
	if err != nil {
		tb.Fatal(err)
	}
	defer connection.Close(tb.Context())
	if _, err := connection.Exec(tb.Context(), `ALTER TABLE events DISABLE TRIGGER ALL`); err != nil {
		tb.Fatal(err)
	}
	if _, err := connection.Exec(tb.Context(), statement, args...); err != nil {
		tb.Fatal(err)
	}
	if _, err := migrations.Up(tb.Context(), s.world.Database.OwnerURL); err != nil { // a forger who leaves no guard off
		tb.Fatal(err)
	}
}

func TestControlsAreComputedByJobs(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.untilControls(t, map[string]string{
		"CC6.1": "passing", "CC6.7": "failing", "CC7.1": "unknown", "CC7.2": "passing", "CC9.2": "passing", // PUBLIC_URL is http
	})
	answer := s.must(t, get("", controlsPath), 200, "")
	names := map[string]bool{}
	for _, c := range answer.list("controls") {
		names[fmt.Sprint(c["name"])] = true
		if (c["lastChecked"] == nil) != (c["id"] == "CC7.1") {
			t.Errorf("%s was last checked at %v", c["id"], c["lastChecked"])
		}
		jobs, _ := c["jobs"].([]any)
		for _, j := range jobs {
			job, _ := j.(map[string]any)
			if job["lastResult"] == "never_ran" || job["lastRun"] == nil || job["nextRun"] == nil {
				t.Errorf("%s: %v", c["id"], job)
			}
		}
	}
	for _, name := range []string{"Encryption at Rest", "TLS Enforcement", "Audit Log Integrity", "Secrets Rotation", "Webhook Dead-Letter Monitoring"} {
		if !names[name] || len(names) != 5 {
			t.Errorf("controls are named %v, want %q among five", names, name)
		}
	}
	until(t, func() error {
		metrics, err := s.do(get("", "/metrics"))
		for _, want := range []string{
			"agentidp_audit_chain_integrity 1\n", `agentidp_job_last_run_timestamp_seconds{task="ledger_verification_full"} 1`,
			`agentidp_job_duration_seconds{task="credential_expiry"} `, `agentidp_job_failures_total{task="ledger_verification_new"} 0`,
			`agentidp_job_failures_total{task="tls"} 1`, "agentidp_credentials_expiring_soon 0\n",
		} {
			if err == nil && !strings.Contains(string(metrics.body), want) {
				err = fmt.Errorf("no %q in the metrics", want)
			}
		}
		return err
	})
}

func TestABrokenChainFailsItsControlWithinOneRun(t *testing.T) {
	t.Parallel()
	s := newScene(t, "EVENTSTORE=postgres", "VERIFY_ALL_INTERVAL_MS=1000")
	n := s.tenant(t)
	s.untilControls(t, map[string]string{"CC7.2": "passing"})
	before := s.must(t, get(n.token, reportPath), 200, "")
	other := s.tenant(t)
	s.harm(t, `UPDATE events SET record = set_byte(record, 300, get_byte(record, 300) # 1) WHERE organization_id = $1 AND revision = 0`, n.organization)
	s.untilControls(t, map[string]string{"CC7.2": "failing"})
	until(t, func() error {
		metrics, err := s.do(get("", "/metrics"))
		if err == nil && !strings.Contains(string(metrics.body), "agentidp_audit_chain_integrity 0\n") {
			err = fmt.Errorf("the metrics say nothing of the break")
		}
		return err
	})
	if before.dig("overall_status") != "pass" {
		t.Errorf("before: %s", before.body)
	}
	for token, want := range map[string]any{n.token: "fail", other.token: "pass"} {
		second := s.another(t, "VERIFY_NEW_INTERVAL_MS=1000") // which has no report kept
		report := second.must(t, get(token, reportPath), 200, "")
		if report.dig("sections.1.status") != want || report.dig("overall_status") != want || report.dig("audit_chain_integrity") != (want == "pass") {
			t.Errorf("after: %s, want %s", report.body, want)
		}
	}
}

// Nothing is claimed of what cannot be looked at.
func TestControlsAreUnknownWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.untilControls(t, map[string]string{"CC7.2": "passing"})
	elsewhere, err := url.Parse(s.world.Database.SuperuserURL)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(elsewhere.Path, "/")
	elsewhere.Path = "/postgres"
	admin := pgtest.Pool(t, elsewhere.String())
	for _, statement := range []string{
		`ALTER DATABASE ` + name + ` WITH ALLOW_CONNECTIONS false`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + name + `'`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	s.untilControls(t, map[string]string{"CC6.1": "unknown", "CC6.7": "unknown", "CC7.1": "unknown", "CC7.2": "unknown", "CC9.2": "unknown"})
}

func TestControlsAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=1000", "TRUSTED_PROXIES=127.0.0.0/8")
	wantTally(t, tally(t, 120, func(int) (answer, error) { return s.do(from(get("", controlsPath), "192.0.2.1")) }), map[string]int{"200": 120})
	s.must(t, from(get("", controlsPath), "192.0.2.1"), 429, "RATE_LIMIT_EXCEEDED")
	s.must(t, from(get("", controlsPath), "192.0.2.2"), 200, "")
}

func TestComplianceReport(t *testing.T) {
	t.Parallel()
	s, clock := sceneAt(t)
	n := s.tenant(t)
	first := s.must(t, get(n.token, reportPath), 200, "")
	mustSay(t, first, map[string]any{
		"tenant_id": n.organization, "agntcy_schema_version": "1.0", "overall_status": "pass", "agent_count": 1, "verified_agent_count": 1,
		"audit_chain_integrity": true, "agntcy_conformance": true, "from_cache": false, "generated_at": "2031-03-04T21:00:00.000Z",
		"sections.0.name": "agent-identity", "sections.0.status": "pass", "sections.1.name": "audit-trail", "sections.1.status": "pass",
	})
	if first.header.Get("X-Cache") != "MISS" {
		t.Errorf("X-Cache of the first is %q", first.header.Get("X-Cache"))
	}
	soon := s.must(t, post(n.token, n.path()+"/credentials", map[string]any{"expiresAt": evening.Add(7 * 24 * time.Hour)}), 201, "").text("credentialId")
	late := map[string]any{"expiresAt": evening.Add(9 * 24 * time.Hour)}
	s.must(t, post(n.token, n.path()+"/credentials", late), 201, "")

	clock.set(evening.Add(5*time.Minute - time.Second))
	kept := s.must(t, get(n.token, reportPath), 200, "")
	mustSay(t, kept, map[string]any{"overall_status": "pass", "from_cache": true, "generated_at": first.dig("generated_at")})
	if kept.header.Get("X-Cache") != "HIT" {
		t.Errorf("X-Cache of the second is %q", kept.header.Get("X-Cache"))
	}
	for _, step := range []struct {
		after time.Duration
		then  func()
		wants map[string]any
	}{
		{5 * time.Minute, nil, map[string]any{
			"overall_status": "warn", "sections.0.status": "warn", "verified_agent_count": 1,
			"sections.0.details.expiring_credentials.0.credential_id": soon, "sections.0.details.expiring_credentials.1": nil,
		}},
		{7 * 24 * time.Hour, nil, map[string]any{
			"overall_status": "fail", "sections.0.status": "fail", "verified_agent_count": 0, "agent_count": 1,
			"sections.0.details.expired_credentials.0.credential_id": soon,
		}},
		{7*24*time.Hour + 5*time.Minute, func() { s.must(t, remove(s.operator, n.path()+"/credentials/"+soon), 204, "") }, map[string]any{
			"overall_status": "warn", "verified_agent_count": 1,
		}},
		{7*24*time.Hour + 10*time.Minute, func() { s.nameless(t, n) }, map[string]any{
			"overall_status": "fail", "agent_count": 2, "agntcy_conformance": false, "sections.0.status": "fail",
		}},
	} {
		clock.set(evening.Add(step.after))
		s.operator = s.token(t, s.root, allScopes)
		if step.then != nil {
			step.then()
		}
		mustSay(t, s.must(t, get(s.token(t, n.agent, ""), reportPath), 200, ""), step.wants)
	}
	if metrics := s.must(t, get("", "/metrics"), 200, ""); !strings.Contains(string(metrics.body), "agentidp_compliance_reports_generated_total 5\n") {
		t.Error("the metrics do not count five reports")
	}
}

// nameless puts an agent without a DID into the ledger, past all commands, and
// waits until it can be seen.
func (s *scene) nameless(tb testing.TB, n tenant) {
	tb.Helper()
	organization, err := domain.ParseOrganizationID(n.organization)
	if err != nil {
		tb.Fatal(err)
	}
	id := domain.AgentID{UUID: uuid.Must(uuid.NewV7())}
	name, schema, data, err := domain.Encode(domain.AgentCreated{
		AgentID: id, OrganizationID: organization, Email: "nameless@acme.example", Scopes: domain.DefaultScopes(),
		Profile: domain.Profile{AgentType: domain.AgentCustom, Version: "1.0.0", Capabilities: []string{}, Owner: "me", DeploymentEnv: domain.EnvStaging, Metadata: json.RawMessage("{}")},
	})
	if err != nil {
		tb.Fatal(err)
	}
	draft := storetest.NewDraft(string(name))
	draft.Schema, draft.Data, draft.Organization = schema, data, organization.UUID
	draft.Actor = eventstore.Actor{Kind: "system", ID: "test"}
	s.append(tb, domain.AgentStream(id), draft)
	until(tb, func() error {
		cards, err := s.want(get(s.operator, cardsPath+"?organizationId="+n.organization), 200, "")
		if err == nil && !slices.Contains(texts(cards.list("data"), "name"), "nameless@acme.example") {
			err = fmt.Errorf("the cards are %s", cards.body)
		}
		return err
	})
}

func TestReportsAndCardsAreTheTenantsOwn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n, other := s.tenant(t), s.tenant(t)
	gone := s.agent(t, n.organization, "agents:read")
	peer := s.agent(t, n.organization, "agents:read")
	s.must(t, remove(n.token, gone.path()), 204, "")
	cards := s.must(t, get(n.token, cardsPath), 200, "")
	if names := texts(cards.list("data"), "name"); !slices.Equal(names, []string{n.email, peer.email}) || cards.number("total") != 2 {
		t.Errorf("cards are of %v, want %s and %s", names, n.email, peer.email)
	}
	mustSay(t, cards, map[string]any{"data.0.agentType": "screener", "data.0.identityProvider": s.base, "data.0.capabilities": "[resume:read]"})
	if did := cards.list("data")[0]["did"]; !strings.HasSuffix(fmt.Sprint(did), n.id) {
		t.Errorf("the DID is %v", did)
	}
	for _, path := range []string{reportPath, cardsPath} {
		s.must(t, get(other.token, path+"?organizationId="+n.organization), 403, "AUTHORIZATION_ERROR")
		s.must(t, get(s.operator, path+"?organizationId="+n.organization), 200, "")
		s.must(t, get(s.operator, path+"?organizationId="+uuid.NewString()), 404, "ORG_NOT_FOUND")
		s.must(t, get(s.token(t, peer, ""), path), 403, "INSUFFICIENT_SCOPE")
		s.must(t, get("", path), 401, "UNAUTHORIZED")
	}
	if own := s.must(t, get(other.token, reportPath), 200, ""); own.dig("tenant_id") != other.organization {
		t.Errorf("the report is %s", own.body)
	}
}

func TestComplianceCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := newScene(t, "COMPLIANCE_ENABLED=false")
	for _, path := range []string{reportPath, cardsPath} {
		s.must(t, get(s.operator, path), 404, "COMPLIANCE_DISABLED")
	}
	s.untilControls(t, map[string]string{"CC7.2": "passing"})
}

// A credential whose time runs out is put on record once, over all servers,
// and is shown as expired from the moment on.
func TestExpiredCredentialsAreShownAndPutOnRecordOnce(t *testing.T) {
	t.Parallel()
	s, clock := sceneAt(t, "CREDENTIAL_SCAN_INTERVAL_MS=1000")
	second := newServer(t, s.world.ServeAt(t, clock.Now, "CREDENTIAL_SCAN_INTERVAL_MS=1000"))
	n := s.tenant(t)
	made := s.must(t, post(n.token, n.path()+"/credentials", map[string]any{"expiresAt": evening.Add(time.Minute)}), 201, "")
	dead := agent{id: n.id, secret: made.text("clientSecret")}
	s.must(t, tokenRequest(dead, ""), 200, "")
	clock.set(evening.Add(time.Minute))
	listed := func(server *server, status string) []string {
		return texts(server.must(t, get(s.operator, n.path()+"/credentials?status="+status), 200, "").list("data"), "credentialId")
	}
	if got := listed(second, "expired"); !slices.Equal(got, []string{made.text("credentialId")}) {
		t.Errorf("expired at once: %v", got)
	}
	s.must(t, tokenRequest(dead, ""), 401, "invalid_client")
	reader := s.token(t, n.agent, "audit:read")
	expiries := func() int {
		return len(s.must(t, get(reader, "/api/v1/audit?action=credential.expired&agentId="+n.id), 200, "").list("data"))
	}
	until(t, func() error {
		if n := expiries(); n != 1 {
			return fmt.Errorf("%d events", n)
		}
		return nil
	})
	for i := range 5 { // more runs of the job find nothing more to say
		at := evening.Add(time.Minute + time.Duration(i+1)*time.Second)
		clock.set(at)
		until(t, func() error {
			return s.ranSince(t, "credential_expiry", at)
		})
	}
	if n := expiries(); n != 1 {
		t.Errorf("%d events after more scans, want 1", n)
	}
	if got := listed(s.server, "active"); !slices.Equal(got, []string{n.credential}) {
		t.Errorf("active: %v", got)
	}
	s.must(t, post(s.operator, n.path()+"/credentials/"+made.text("credentialId")+"/rotate", map[string]any{}), 200, "")
	if got := listed(second, "expired"); len(got) != 0 {
		t.Errorf("expired after the rotation: %v", got)
	}
}

// ranSince asks the controls whether a job has finished at that time or after.
func (s *server) ranSince(tb testing.TB, job string, at time.Time) error {
	tb.Helper()
	a, err := s.want(get("", controlsPath), 200, "")
	if err != nil {
		return err
	}
	for _, c := range a.list("controls") {
		jobs, _ := c["jobs"].([]any)
		for _, j := range jobs {
			run, _ := j.(map[string]any)
			last, err := time.Parse(time.RFC3339Nano, fmt.Sprint(run["lastRun"]))
			if run["name"] == job && err == nil && !last.Before(at) {
				return nil
			}
		}
	}
	return fmt.Errorf("%s has not run since %s: %s", job, at, a.body)
}
