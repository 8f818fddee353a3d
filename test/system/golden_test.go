package system_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

// The golden ledger was made in November 2026, before the house was rebuilt: a
// database with the life of two organizations in it, what was exported from it, and
// what its server answered. Every later program has to serve, verify, rebuild and
// export it as that one did.
//
// It is kept, not renewed: a program that reads it otherwise has changed. To make
// another one beside it, set MAKE_GOLDEN_LEDGER to an empty directory.
const goldenLedger = "testdata/golden"

// goldenAnswers is what is known of the golden ledger beside its files.
type goldenAnswers struct {
	Operator struct{ ID, Secret string }
	Agent    struct{ ID, Secret string } // one that may still log in
	Ended    struct{ ID, Secret string } // one that may not any more
	Revoked  string                      // a token that was ended
	Tenant   string                      // the organization of both
	Key      string                      // of the log of the whole ledger
	Paths    map[string]json.RawMessage  // what GET answers the operator
}

func TestGoldenLedgerIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("MAKE_GOLDEN_LEDGER"); dir != "" {
		makeGoldenLedger(t, dir)
	}
	if _, err := exec.LookPath("pg_restore"); err != nil {
		t.Skip("SKIPPED: pg_restore is not installed")
	}
	var golden goldenAnswers
	if err := json.Unmarshal(goldenFile(t, "answers.json"), &golden); err != nil {
		t.Fatal(err)
	}
	w := restoreGoldenLedger(t)

	kept, err := filepath.Abs(filepath.Join(goldenLedger, "ledger.bundle"))
	if err != nil {
		t.Fatal(err)
	}
	for bundle, scope := range map[string][]string{"ledger.bundle": nil, "tenant.bundle": {"--organization", golden.Tenant}} {
		path := filepath.Join(t.TempDir(), bundle)
		mustLedger(t, w.settings, exitOK, append([]string{"export", "-o", path}, scope...)...)
		exported, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(unpacked(t, goldenFile(t, bundle)), unpacked(t, exported)); diff != "" {
			t.Errorf("%s is exported otherwise than before (-before +now):\n%s", bundle, diff)
		}
	}
	verified := report(t, mustLedger(t, nil, exitOK, "verify", kept, "--key", golden.Key, "--json"))
	live := report(t, mustLedger(t, w.settings, exitOK, "verify", "--live", "--json"))
	if !verified.Verified || live.Checked != verified.Checked || live.RootHash != verified.RootHash {
		t.Errorf("the bundle's report is %+v, the live one %+v", verified, live)
	}
	for _, command := range []string{"verify", "rebuild --all", "verify"} {
		if r := runToEnd(t, w.settings, append([]string{"projections"}, strings.Fields(command)...)...); r.code != exitOK {
			t.Errorf("projections %s: exit code %d\n%s%s", command, r.code, r.stdout, r.stderr)
		}
	}

	before := time.Now().UTC().Format(time.RFC3339)
	s := w.serve(t)
	operator := s.mustToken(t, golden.Operator.ID, golden.Operator.Secret, goldenScopes)
	for path, want := range golden.Paths {
		asked := path
		if strings.HasPrefix(path, "/api/v1/audit?") { // the start has given DID documents to the agents since
			asked += "&toDate=" + before
		}
		got := s.must(t, http.StatusOK, http.MethodGet, asked, operator, nil)
		if bytes.Equal(bytes.TrimSpace(got.raw), compact(t, want)) {
			continue
		}
		if diff := cmp.Diff(withoutDIDs(t, want), withoutDIDs(t, got.raw)); diff != "" {
			t.Errorf("GET %s answers otherwise than before (-before +now):\n%s", path, diff)
		}
	}
	s.mustToken(t, golden.Agent.ID, golden.Agent.Secret, "")
	if r, err := s.token(t.Context(), golden.Ended.ID, golden.Ended.Secret, ""); err != nil || r.status != http.StatusUnauthorized {
		t.Errorf("an agent that was ended logs in: %s, %v", r, err)
	}
	introspected, err := s.form(t.Context(), "/oauth2/introspect", golden.Operator.ID, golden.Operator.Secret, url.Values{"token": {golden.Revoked}})
	if err != nil || introspected.body["active"] != false {
		t.Errorf("a token that was ended: %s, %v", introspected, err)
	}
	mustProve(t, w)
}

// withoutDIDs is an answer without what has come to it since: an agent says since when
// it has a DID document.
func withoutDIDs(t *testing.T, answer []byte) any {
	t.Helper()
	var content any
	if err := json.Unmarshal(answer, &content); err != nil {
		t.Fatal(err)
	}
	object, _ := content.(map[string]any)
	delete(object, "didCreatedAt")
	items, _ := object["data"].([]any)
	for _, item := range items {
		fields, _ := item.(map[string]any)
		delete(fields, "didCreatedAt")
	}
	return content
}

func goldenFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(goldenLedger, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// createdAt is when a bundle was made, in its manifest.
var createdAt = regexp.MustCompile(`"createdAt": "[^"]*"`)

// unpacked is the files of a bundle, headers and bytes, but for when it was made.
func unpacked(t *testing.T, bundle []byte) (files []string) {
	t.Helper()
	archive := tar.NewReader(bytes.NewReader(bundle))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		header.ModTime = time.Time{}
		files = append(files, fmt.Sprintf("%+v\n%s", *header, createdAt.ReplaceAll(content, nil)))
	}
}

func compact(t *testing.T, text json.RawMessage) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// restoreGoldenLedger brings the golden database back, with all later migrations.
func restoreGoldenLedger(t *testing.T) *world {
	t.Helper()
	services := pgtest.Private(t)
	sql(t, services.OwnerDatabaseURL, "CREATE ROLE agentidp_server NOLOGIN NOINHERIT", "CREATE ROLE agentidp_projector NOLOGIN")
	output, err := exec.CommandContext(t.Context(), "pg_restore", "--no-owner", "--dbname="+services.OwnerDatabaseURL, filepath.Join(goldenLedger, "database.dump")).CombinedOutput()
	if err != nil {
		t.Fatalf("pg_restore: %v\n%s", err, output)
	}
	key := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(key, goldenFile(t, "master.key"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := emptyWorld(t, services.DatabaseURL, services.OwnerDatabaseURL, services.RedisURL, "MASTER_KEY_FILE="+key, "SIGNING_KEY_MAX_AGE_DAYS=3650") // the keys are as old as the ledger
	w.superuserURL = services.SuperuserURL
	if r := runToEnd(t, w.settings, "migrate"); r.code != exitOK {
		t.Fatalf("migrate: code %d\n%s", r.code, r.stderr)
	}
	return w
}

// goldenScopes is what the operator asks for to look at everything.
const goldenScopes = "admin:orgs agents:read agents:write audit:read tokens:read"

// makeGoldenLedger lives the life of the golden ledger and keeps it in a directory.
func makeGoldenLedger(t *testing.T, dir string) {
	t.Helper()
	w, services := newPrivateWorld(t)
	s := w.serve(t)
	var golden goldenAnswers
	golden.Operator.ID, golden.Operator.Secret = w.operator.ClientID, w.operator.ClientSecret
	one, other := s.tenant(t, w), s.tenant(t, w)
	golden.Tenant = one.organization
	do := func(status int, method, path string, body any) reply {
		t.Helper()
		return s.must(t, status, method, path, one.operatorToken, body)
	}
	register := func(name string, more map[string]any) (agent string) {
		t.Helper()
		fields := one.registration(name)
		maps.Copy(fields, more)
		return do(http.StatusCreated, http.MethodPost, "/api/v1/agents", fields).text("agentId")
	}
	credential := func(agent string) (id, secret string) {
		t.Helper()
		made := do(http.StatusCreated, http.MethodPost, "/api/v1/agents/"+agent+"/credentials", map[string]any{})
		return made.text("credentialId"), made.text("clientSecret")
	}

	worker := register("worker", map[string]any{"capabilities": []string{"resume:read", "mail:*"}, "scopes": []string{"agents:read", "tokens:read"}})
	workersFirst, workersSecret := credential(worker)
	lender := register("lender", nil)
	lendersFirst, lendersSecret := credential(lender)
	sleeper, gone := register("sleeper", nil), register("gone", nil)
	_, goneSecret := credential(gone)
	golden.Agent.ID, golden.Ended.ID, golden.Ended.Secret = worker, gone, goneSecret

	do(http.StatusOK, http.MethodPatch, "/api/v1/agents/"+worker, map[string]any{"version": "1.1.0", "owner": "Ärztekammer <Nord> & 東京"})
	do(http.StatusCreated, http.MethodPost, "/api/v1/organizations/"+one.organization+"/members", map[string]any{"agentId": lender, "role": "admin"})
	do(http.StatusCreated, http.MethodPost, "/api/v1/organizations/"+one.organization+"/members", map[string]any{"agentId": worker, "role": "member"})
	do(http.StatusOK, http.MethodPut, "/api/v1/organizations/"+one.organization+"/members/"+worker, map[string]any{"role": "admin"})
	do(http.StatusNoContent, http.MethodDelete, "/api/v1/organizations/"+one.organization+"/members/"+lender, nil)
	do(http.StatusOK, http.MethodPut, "/api/v1/organizations/"+one.organization+"/tier", map[string]any{"tier": "pro", "reason": "they pay"})
	do(http.StatusOK, http.MethodPut, "/api/v1/organizations/"+one.organization+"/tier", map[string]any{"tier": "enterprise", "reason": "so that the audit trail shows events however old they are"})

	var tokens []string
	for range 30 {
		tokens = append(tokens, s.mustToken(t, worker, workersSecret, "agents:read"))
	}
	golden.Revoked = tokens[0]
	for _, token := range tokens[:3] {
		if r, err := s.form(t.Context(), "/oauth2/revoke", worker, workersSecret, url.Values{"token": {token}}); err != nil || r.status != http.StatusOK {
			t.Fatalf("revoke: %s, %v", r, err)
		}
	}
	for range 3 {
		if r, err := s.token(t.Context(), worker, strings.Repeat("x", 48), ""); err != nil || r.status != http.StatusUnauthorized {
			t.Fatalf("a wrong secret: %s, %v", r, err)
		}
	}
	lend := func(from, to string, seconds, depth int) (chain, token string) {
		t.Helper()
		made := s.must(t, http.StatusCreated, http.MethodPost, "/oauth2/token/delegate", from, map[string]any{
			"delegateeAgentId": to, "scopes": []string{"agents:read"}, "maxDepth": depth, "ttlSeconds": seconds,
		})
		return made.text("chainId"), made.text("delegationToken")
	}
	lent := s.mustToken(t, lender, lendersSecret, "")
	_, first := lend(lent, worker, 86400, 2)
	ended, _ := lend(lent, sleeper, 86400, 1)
	do(http.StatusNoContent, http.MethodDelete, "/oauth2/token/delegate/"+ended, nil)
	exchanged, err := s.form(t.Context(), "/oauth2/token", worker, workersSecret, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {first},
		"subject_token_type": {"urn:sentryagent:params:oauth:token-type:delegation"},
	})
	if err != nil || exchanged.status != http.StatusOK {
		t.Fatalf("exchange: %s, %v", exchanged, err)
	}
	rotated := do(http.StatusOK, http.MethodPost, "/api/v1/agents/"+worker+"/credentials/"+workersFirst+"/rotate", map[string]any{})
	golden.Agent.Secret = rotated.text("clientSecret")
	do(http.StatusNoContent, http.MethodDelete, "/api/v1/agents/"+lender+"/credentials/"+lendersFirst, nil)
	do(http.StatusOK, http.MethodPatch, "/api/v1/agents/"+sleeper, map[string]any{"status": "suspended"})
	do(http.StatusOK, http.MethodPatch, "/api/v1/agents/"+sleeper, map[string]any{"status": "active"})
	do(http.StatusOK, http.MethodPatch, "/api/v1/agents/"+sleeper, map[string]any{"status": "suspended"})
	do(http.StatusNoContent, http.MethodDelete, "/api/v1/agents/"+gone, nil)
	s.mustToken(t, other.agent, other.secret, "")
	do(http.StatusOK, http.MethodPatch, "/api/v1/organizations/"+other.organization, map[string]any{"status": "suspended"})
	do(http.StatusNoContent, http.MethodDelete, "/api/v1/agents/"+other.agent, nil)
	do(http.StatusNoContent, http.MethodDelete, "/api/v1/organizations/"+other.organization, nil)

	golden.Paths = map[string]json.RawMessage{}
	for _, path := range []string{
		"/api/v1/agents/" + worker, "/api/v1/agents/" + sleeper, "/api/v1/agents/" + gone, "/api/v1/agents?organizationId=" + one.organization,
		"/api/v1/agents/" + lender + "/credentials", "/api/v1/agents/" + worker + "/credentials",
		"/api/v1/organizations/" + one.organization, "/api/v1/organizations/" + one.organization + "/members",
		"/api/v1/audit?organizationId=" + one.organization + "&limit=100", "/api/v1/audit?organizationId=" + one.organization + "&agentId=" + worker + "&limit=10",
	} {
		golden.Paths[path] = s.must(t, http.StatusOK, http.MethodGet, path, one.operatorToken, nil).raw
	}
	awaitCheckpoint(t, w)
	s.kill(t)

	mustLedger(t, w.settings, exitOK, "checkpoint")
	mustLedger(t, w.settings, exitOK, "checkpoint", "--organization", one.organization)
	golden.Key = strings.TrimSpace(mustLedger(t, w.settings, exitOK, "checkpoint", "--key").stdout)
	mustLedger(t, w.settings, exitOK, "export", "-o", filepath.Join(dir, "ledger.bundle"))
	mustLedger(t, w.settings, exitOK, "export", "-o", filepath.Join(dir, "tenant.bundle"), "--organization", one.organization)
	sql(t, services.SuperuserURL, loginFor("agentidp_backup", "BYPASSRLS"), "GRANT pg_read_all_data TO agentidp_backup")
	output, err := exec.CommandContext(t.Context(), "pg_dump", "--format=custom", "--file="+filepath.Join(dir, "database.dump"), loginURL(t, services, "agentidp_backup", "agentidp")).CombinedOutput()
	if err != nil {
		t.Fatalf("pg_dump: %v\n%s", err, output)
	}
	i := slices.IndexFunc(w.settings, func(s string) bool { return strings.HasPrefix(s, "MASTER_KEY_FILE=") })
	key, err := os.ReadFile(strings.TrimPrefix(w.settings[i], "MASTER_KEY_FILE="))
	if err != nil {
		t.Fatal(err)
	}
	answers, err := json.MarshalIndent(golden, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"master.key": key, "answers.json": append(answers, '\n')} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
