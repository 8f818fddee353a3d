package api_test

import (
	"bytes"
	"maps"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

const keyHeader = "Idempotency-Key"

// creations are all requests that create something, with fresh bodies.
func creations(s *scene, a, member agent) map[string]request {
	return map[string]request{
		"organization": post(s.operator, "/api/v1/organizations", map[string]any{"name": "Acme", "slug": "acme-" + unique()}),
		"member":       post(s.operator, "/api/v1/organizations/"+member.organization+"/members", map[string]any{"agentId": member.id, "role": "member"}),
		"agent":        post(s.operator, "/api/v1/agents", newAgentBody(a.organization, "")),
		"credential":   post(s.operator, a.path()+"/credentials", map[string]any{}),
		"new secret":   post(s.operator, a.path()+"/credentials/"+a.credential+"/rotate", map[string]any{}),
		"newest":       post(s.operator, member.path()+"/credentials/rotate", map[string]any{}),
	}
}

func TestTheSameKeyAndRequestGiveTheSameAnswerOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.another(t)
	organization := s.organization(t, nil)
	for name, r := range creations(s, s.agent(t, organization, ""), s.agent(t, organization, "")) {
		r = r.with(keyHeader, "key-"+name[:3]+"-"+unique())
		first, err := s.do(r)
		if err != nil || first.status > 201 {
			t.Fatalf("%s: %d %s: %v", name, first.status, first.body, err)
		}
		head := s.head(t)
		for _, server := range []*server{s.server, other} {
			again := server.must(t, r, first.status, "")
			if !bytes.Equal(first.body, again.body) || again.header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("%s: first %s, then %s", name, first.body, again.body)
			}
			for _, header := range []string{"X-Ledger-Position", "ETag", "Location", "Content-Type", "Cache-Control"} {
				if first.header.Get(header) != again.header.Get(header) {
					t.Errorf("%s: %s first %q, then %q", name, header, first.header.Get(header), again.header.Get(header))
				}
			}
		}
		if after := s.head(t); after != head {
			t.Errorf("%s: repeating it wrote to the ledger: from %v to %v", name, head, after)
		}
	}
}

// A server that dies between doing it and keeping the answer leaves the key as
// it is here: whoever repeats the request is told of what was made.
func TestARepeatAfterALostAnswerNamesTheSameThing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.another(t)
	organization := s.organization(t, nil)
	pool := pgtest.Pool(t, s.world.Database.SuperuserURL)
	for name, r := range creations(s, s.agent(t, organization, ""), s.agent(t, organization, "")) {
		r = r.with(keyHeader, unique())
		first, err := s.do(r)
		if err != nil || first.status > 201 {
			t.Fatalf("%s: %d %s: %v", name, first.status, first.body, err)
		}
		if _, err := pool.Exec(t.Context(), `UPDATE idempotency_keys SET answer = NULL, lease_until = now() - interval '1 second'`); err != nil {
			t.Fatal(err)
		}
		again := other.must(t, r, first.status, "")
		for _, id := range []string{"organizationId", "agentId", "credentialId", "role"} {
			if first.text(id) != again.text(id) {
				t.Errorf("%s: %s first %q, then %q", name, id, first.text(id), again.text(id))
			}
		}
	}
}

func TestTheSameKeyAtTheSameTimeMakesOneThing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	for name, r := range map[string]request{
		"agent":      post(s.operator, "/api/v1/agents", newAgentBody(a.organization, "")),
		"credential": post(s.operator, a.path()+"/credentials", map[string]any{}),
	} {
		r = r.with(keyHeader, unique())
		bodies := make([]string, 20)
		parallel(t, len(bodies), func(i int) error {
			made, err := s.want(r, 201, "")
			bodies[i] = string(made.body)
			return err
		})
		for _, body := range bodies {
			if body != bodies[0] {
				t.Errorf("%s: one got %s, another %s", name, bodies[0], body)
			}
		}
	}
	if total := s.must(t, get(s.operator, "/api/v1/agents?organizationId="+a.organization), 200, "").number("total"); total != 2 {
		t.Errorf("%v agents, want 2", total)
	}
	if total := s.must(t, get(s.operator, a.path()+"/credentials"), 200, "").number("total"); total != 2 {
		t.Errorf("%v credentials, want 2", total)
	}
}

func TestAKeyIsForOneRequestOfOneClient(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	key := unique()
	body := newAgentBody(organization, "")
	first := s.must(t, post(s.operator, "/api/v1/agents", body).with(keyHeader, key), 201, "")
	changed := maps.Clone(body)
	changed["owner"] = "somebody else"
	head := s.head(t)
	s.must(t, post(s.operator, "/api/v1/agents", changed).with(keyHeader, key), 422, "IDEMPOTENCY_KEY_REUSED")
	s.must(t, post(s.operator, "/api/v1/agents/"+first.text("agentId")+"/credentials", body).with(keyHeader, key), 400, "VALIDATION_ERROR")
	s.must(t, post(s.operator, "/api/v1/agents/"+first.text("agentId")+"/credentials", map[string]any{}).with(keyHeader, key), 422, "IDEMPOTENCY_KEY_REUSED")
	if after := s.head(t); after != head {
		t.Errorf("the ledger went from %v to %v", head, after)
	}
	s.must(t, post(s.operator, "/api/v1/agents", body).with(keyHeader, unique()), 409, "AGENT_ALREADY_EXISTS")

	other := s.agent(t, organization, tenantScopes)
	own := s.must(t, post(s.token(t, other, ""), "/api/v1/agents", newAgentBody("", "")).with(keyHeader, key), 201, "")
	if own.text("agentId") == first.text("agentId") {
		t.Error("another client's key gave this client's answer")
	}
	s.must(t, post("", "/api/v1/agents", body).with(keyHeader, key), 401, "UNAUTHORIZED")
	for _, bad := range []string{"with space", "ümlaut", string(bytes.Repeat([]byte("x"), 256))} {
		s.must(t, post(s.operator, "/api/v1/agents", newAgentBody(organization, "")).with(keyHeader, bad), 400, "VALIDATION_ERROR")
	}
	s.must(t, post(s.operator, "/api/v1/agents", newAgentBody(organization, "")).with(keyHeader, "one", keyHeader, "two"), 400, "VALIDATION_ERROR")
}

// What was refused may be different next time, and the key is still good.
func TestRefusedRequestsDoNotBurnTheKey(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, map[string]any{"planTier": "free", "maxAgents": 1})
	taken := s.agent(t, organization, "")
	key := unique()
	body := newAgentBody(organization, "")
	r := post(s.operator, "/api/v1/agents", body).with(keyHeader, key)
	s.must(t, r, 403, "FREE_TIER_LIMIT_EXCEEDED")
	duplicate := maps.Clone(body)
	duplicate["email"] = taken.email
	s.must(t, post(s.operator, "/api/v1/agents", duplicate).with(keyHeader, key), 409, "AGENT_ALREADY_EXISTS")
	s.must(t, post(s.operator, "/api/v1/agents", map[string]any{}).with(keyHeader, key), 400, "VALIDATION_ERROR")
	s.must(t, patch(s.operator, "/api/v1/organizations/"+organization, map[string]any{"maxAgents": 2}), 200, "")
	made := s.must(t, r, 201, "")
	if again := s.must(t, r, 201, ""); !bytes.Equal(made.body, again.body) {
		t.Errorf("first %s, then %s", made.body, again.body)
	}
}

// The answer is kept for a day, but nobody reads the secret in it, nor the key.
func TestKeptAnswersShowNoSecret(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "")
	key := "a-key-that-is-easy-to-find"
	r := request{method: http.MethodPost, path: a.path() + "/credentials", token: s.operator, json: map[string]any{}}
	secret := s.must(t, r.with(keyHeader, key), 201, "").text("clientSecret")
	pool := pgtest.Pool(t, s.world.Database.SuperuserURL)
	rows, err := pool.Query(t.Context(), `SELECT convert_to(k::text, 'UTF8') || coalesce(k.answer, '') || k.key || k.request FROM idempotency_keys k`)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil || len(kept) != 1 {
		t.Fatalf("%d rows kept, %v; want 1", len(kept), err)
	}
	for what, text := range map[string]string{"secret": secret, "secret's end": secret[20:], "key": key} {
		if bytes.Contains(kept[0], []byte(text)) {
			t.Errorf("the %s can be read in idempotency_keys", what)
		}
	}
	l := s.openLedger(t)
	defer l.Close()
	for event, err := range l.Store.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		if err != nil || bytes.Contains(event.Record, []byte(secret)) {
			t.Errorf("the secret stands in the event at %d (%v)", event.Position, err)
		}
	}
}
