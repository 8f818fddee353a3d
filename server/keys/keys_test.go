package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/server"
	"github.com/sentryagent/agentidp/server/keys"
	"github.com/sentryagent/agentidp/server/servertest"
	"github.com/sentryagent/agentidp/server/stores"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// quick has keys live in seconds.
var quick = keys.Timing{
	Lead: 1500 * time.Millisecond, Spacing: 300 * time.Millisecond, MaxAge: 90 * 24 * time.Hour,
	Poll: 50 * time.Millisecond, Lease: 2 * time.Second,
}

// unhurried is quick with a lead that is not over before a busy machine has started servers.
func unhurried() keys.Timing {
	t := quick
	t.Lead = 10 * time.Second
	return t
}

const patience = 30 * time.Second

type world struct{ *servertest.World }

func newWorld(t *testing.T) world { return world{servertest.NewWorld(t)} }

// node starts a server whose keys live in seconds.
func (w world) node(t *testing.T, options ...server.Option) (url string, stop func()) {
	t.Helper()
	return w.ServeUntil(t, w.Config(t), slog.New(slog.DiscardHandler), append([]server.Option{server.WithKeyTiming(quick)}, options...)...)
}

// operator opens the keys as agentidp keys does.
func (w world) operator(t *testing.T) *upkeep.SigningKeys {
	t.Helper()
	k, err := upkeep.OpenSigningKeys(t.Context(), w.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	k.Timing = quick
	return k
}

// token asks a server for one as the platform's operator.
func (w world) token(ctx context.Context, at string) (string, error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {w.Operator.ClientID}, "client_secret": {w.Operator.ClientSecret}, "scope": {"agents:read openid"},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err = ask(request, &answer)
	return answer.AccessToken, err
}

// accepted asks a server with a token.
func (w world) accepted(ctx context.Context, at, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/api/v1/agents/"+w.Operator.ClientID, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	return ask(request, nil)
}

type statusError struct {
	status int
	body   string
}

func (e statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.body) }

func refused(err error) bool {
	told, ok := errors.AsType[statusError](err)
	return ok && told.status == http.StatusUnauthorized
}

func ask(request *http.Request, into any) error {
	response, body, err := send(request)
	// Keys are of no use once they are older than the lead, which is here what a busy machine
	// may take to look. That refuses nothing: it says to try again.
	for began := time.Now(); err == nil && response.StatusCode == http.StatusServiceUnavailable && time.Since(began) < patience; {
		time.Sleep(quick.Poll)
		if request.GetBody != nil {
			if request.Body, err = request.GetBody(); err != nil {
				return err
			}
		}
		response, body, err = send(request)
	}
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return statusError{response.StatusCode, string(body)}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func send(request *http.Request) (response *http.Response, body []byte, err error) {
	if response, err = http.DefaultClient.Do(request); err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response, body, err
}

// jwks is the key set of a server.
func jwks(ctx context.Context, at string) (set jose.JSONWebKeySet, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/.well-known/jwks.json", http.NoBody)
	if err != nil {
		return set, err
	}
	return set, ask(request, &set)
}

func kids(t *testing.T, at string) (kids []string) {
	t.Helper()
	set, err := jwks(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if !key.IsPublic() || key.Use != "sig" || key.Algorithm == "" || key.KeyID == "" {
			t.Errorf("%s publishes %+v", at, key)
		}
		kids = append(kids, key.KeyID)
	}
	return kids
}

func kidOf(t *testing.T, token string) string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header["kid"].(string)
}

// signsWith is the id of the key with which a server signs.
func (w world) signsWith(t *testing.T, at string) string {
	t.Helper()
	token, err := w.token(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return kidOf(t, token)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s until %s", patience, what)
		}
	}
}

// keyEvents are what the ledger says of the keys, oldest first, and when.
func (w world) keyEvents(t *testing.T) (events []domain.Event, at []time.Time) {
	t.Helper()
	l, err := upkeep.OpenLedger(t.Context(), w.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	filter := eventstore.Filter{Types: []string{"signing_key.created", "signing_key.activated", "signing_key.retired", "signing_key.removed"}}
	for stored, err := range l.Store.ReadAll(t.Context(), 0, filter) {
		if err != nil {
			t.Fatal(err)
		}
		record, err := stored.Decode()
		if err != nil {
			t.Fatal(err)
		}
		event, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
		if err != nil {
			t.Fatal(err)
		}
		events, at = append(events, event), append(at, record.Time)
	}
	return events, at
}

func (w world) rotate(t *testing.T, k *upkeep.SigningKeys, now bool) string {
	t.Helper()
	var kid string
	eventually(t, "a key may be published", func() (done bool) {
		var err error
		kid, err = k.Rotate(t.Context(), "ES256", now)
		if errors.As(err, new(*domain.Error)) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		return true
	})
	return kid
}

// Two servers sign and verify for each other, and a client verifies with keys that it
// looks at no more often than half the lead, while the keys change three times.
func TestNoTokenIsRefusedWhileKeysRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.node(t)
	other, _ := w.node(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	failures := make(chan error, 100)
	used := make(chan string, 100_000)
	for _, pair := range [][2]string{{one, other}, {other, one}} {
		go func() { w.signAndVerify(ctx, pair[0], pair[1], used, failures) }()
		go func() { w.verifyOutside(ctx, pair[0], pair[1], failures) }()
	}
	k := w.operator(t)
	rotated := []string{w.signsWith(t, one)}
	for range 3 {
		kid := w.rotate(t, k, false)
		rotated = append(rotated, kid)
		published := time.Now()
		eventually(t, "both servers sign with "+kid, func() bool { return w.signsWith(t, one) == kid && w.signsWith(t, other) == kid })
		took := time.Since(published)
		t.Logf("both servers sign with it %s after its publication; the lead is %s", took, quick.Lead)
		if took < quick.Lead {
			t.Errorf("%s signs too soon", kid)
		}
	}
	seen := map[string]bool{}
	eventually(t, "tokens of all keys have been seen, or one was refused", func() bool {
		for len(used) > 0 {
			seen[<-used] = true
		}
		return len(failures) > 0 || !slices.ContainsFunc(rotated, func(kid string) bool { return !seen[kid] })
	})
	stop()
	select {
	case err := <-failures:
		t.Error(err)
	default:
	}
	w.mustHoldTheLead(t)
}

func (w world) mustHoldTheLead(t *testing.T) {
	t.Helper()
	events, at := w.keyEvents(t)
	var published time.Time
	for i, event := range events[2:] { // after the first two were made
		switch e := event.(type) {
		case domain.SigningKeyCreated:
			if gap := at[i+2].Sub(published); gap < quick.Spacing {
				t.Errorf("%s was published %s after the key before", e.KeyID, gap)
			}
			published = at[i+2]
		case domain.SigningKeyActivated:
			if published.IsZero() { // one of the first keys
				continue
			}
			if e.ServedSince == nil || at[i+2].Sub(*e.ServedSince) < quick.Lead {
				t.Errorf("%+v at %s: no lead of %s", e, at[i+2], quick.Lead)
			}
		}
	}
}

func (w world) signAndVerify(ctx context.Context, signs, verifies string, used chan<- string, failures chan<- error) {
	for ctx.Err() == nil {
		token, err := w.token(ctx, signs)
		if err == nil {
			err = w.accepted(ctx, verifies, token)
		}
		if err != nil {
			if ctx.Err() == nil {
				failures <- fmt.Errorf("signed at %s, shown to %s: %w", signs, verifies, err)
			}
			return
		}
		parsed, _, _ := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
		select {
		case used <- parsed.Header["kid"].(string):
		default:
		}
	}
}

func (w world) verifyOutside(ctx context.Context, signs, reads string, failures chan<- error) {
	var known jose.JSONWebKeySet
	var looked time.Time
	for ctx.Err() == nil {
		if time.Since(looked) > quick.Lead/2 {
			looked = time.Now()
			set, err := jwks(ctx, reads)
			if err != nil {
				if ctx.Err() == nil {
					failures <- fmt.Errorf("the keys of %s: %w", reads, err)
				}
				return
			}
			known = set
		}
		token, err := w.token(ctx, signs)
		if err == nil {
			_, err = jwt.Parse(token, func(token *jwt.Token) (any, error) {
				found := known.Key(token.Header["kid"].(string))
				if len(found) != 1 {
					return nil, fmt.Errorf("%d keys %s", len(found), token.Header["kid"])
				}
				return found[0].Key, nil
			}, jwt.WithValidMethods([]string{"ES256"}))
		}
		if err != nil {
			if ctx.Err() == nil {
				failures <- fmt.Errorf("signed at %s, verified with the keys of %s from %s ago: %w", signs, reads, time.Since(looked), err)
			}
			return
		}
	}
}

func TestOfManyWhoRotateAtOnceOneDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, _ := w.node(t)
	before := kids(t, at)
	operators := []*upkeep.SigningKeys{w.operator(t), w.operator(t), w.operator(t), w.operator(t)}
	time.Sleep(quick.Spacing) // since the first keys
	for _, now := range []bool{true, false} {
		results := make(chan error, len(operators))
		for _, k := range operators {
			go func() {
				_, err := k.Rotate(t.Context(), "ES256", now)
				results <- err
			}()
		}
		done := 0
		for range operators {
			err := <-results
			if err == nil {
				done++
			} else if !errors.Is(err, &domain.Error{Code: domain.CodeConflict}) {
				t.Error(err)
			}
		}
		if done != 1 {
			t.Errorf("now %v: %d of %d have rotated, want one", now, done, len(operators))
		}
		time.Sleep(quick.Spacing)
	}
	eventually(t, "two keys more are published", func() bool { return len(kids(t, at)) == len(before)+2 })
	time.Sleep(5 * quick.Poll)
	if now := kids(t, at); len(now) != len(before)+2 {
		t.Errorf("%d keys are published, before it were %d", len(now), len(before))
	}
	var stored int
	if err := pgtest.Pool(t, w.Database.SuperuserURL).QueryRow(t.Context(), `SELECT count(*) FROM signing_keys`).Scan(&stored); err != nil || stored != len(before)+2 {
		t.Errorf("%d keys are stored (%v), want no trace of those that were refused", stored, err)
	}
}

func TestAServerThatJoinsLateSignsWithTheRightKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.node(t)
	k := w.operator(t)
	kid := w.rotate(t, k, true)
	other, stop := w.node(t)
	if got := w.signsWith(t, other); got != kid {
		t.Errorf("a new server signs with %s, the current key is %s", got, kid)
	}
	next := w.rotate(t, k, false)
	if got := w.signsWith(t, other); got != kid {
		t.Errorf("it signs with %s; %s has only been published", got, next)
	}
	stop()
	eventually(t, "the key signs that all who are left serve", func() bool { return w.signsWith(t, one) == next })
}

// A key waits for servers that do not serve it: one that has not looked yet, and one of an
// older version, which says nothing. It does not wait for one that is gone.
func TestAKeyWaitsForEveryServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.node(t)
	superuser := pgtest.Pool(t, w.Database.SuperuserURL)
	behind := func(since string) {
		t.Helper()
		if _, err := superuser.Exec(t.Context(), `INSERT INTO signing_key_servers VALUES (gen_random_uuid(), '{}', now() + $1::interval)`, since); err != nil {
			t.Fatal(err)
		}
	}
	k := w.operator(t)
	before := w.signsWith(t, one)
	behind("4 seconds") // it is heard of until then, and once its lease is over not any more
	behind("-1 hour")
	began := time.Now()
	kid := w.rotate(t, k, false)
	eventually(t, "the key signs", func() bool { return w.signsWith(t, one) == kid })
	if took := time.Since(began); took < 4*time.Second+quick.Lease {
		t.Errorf("it did so after %s, while a server did not serve it", took)
	}

	config, err := stores.OpenDatabase(t.Context(), w.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer config.Close()
	old, err := config.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Exec(t.Context(), `SET application_name = 'agentidp projections'`); err != nil {
		t.Fatal(err)
	}
	kid = w.rotate(t, k, false)
	time.Sleep(2 * quick.Lead)
	if got := w.signsWith(t, one); got == kid || got == before {
		t.Errorf("signs with %s while a server of an older version runs", got)
	}
	if servers, err := k.Servers(t.Context()); err != nil || servers != (keys.Servers{Live: 1, Unknown: 1}) {
		t.Errorf("servers: %+v, %v", servers, err)
	}
	old.Release()
	config.Close()
	eventually(t, "the key signs", func() bool { return w.signsWith(t, one) == kid })
}

// From the answer on, no server takes a token of a key that was retired at once, and it is
// in no key set.
func TestTokensOfAKeyRetiredAtOnceAreDeadEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.node(t)
	other, _ := w.node(t)
	k := w.operator(t)
	for range 10 {
		token, err := w.token(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{one, other} {
			if err := w.accepted(t.Context(), at, token); err != nil {
				t.Fatal(err)
			}
		}
		kid := kidOf(t, token)
		successor, err := k.Retire(t.Context(), kid, true)
		if err != nil || successor == "" {
			t.Fatalf("successor %q, %v", successor, err)
		}
		for _, at := range []string{one, other} {
			if err := w.accepted(t.Context(), at, token); !refused(err) {
				t.Fatalf("%s takes a token of a key that was retired at once: %v", at, err)
			}
		}
		eventually(t, "both sign with the next key", func() bool { return w.signsWith(t, one) == successor && w.signsWith(t, other) == successor })
		for _, at := range []string{one, other} {
			if published := kids(t, at); slices.Contains(published, kid) || !slices.Contains(published, successor) {
				t.Fatalf("%s publishes %v; %s was retired at once, for %s", at, published, kid, successor)
			}
		}
		var left int
		if err := pgtest.Pool(t, w.Database.SuperuserURL).QueryRow(t.Context(), `SELECT count(*) FROM signing_keys WHERE kid = $1`, kid).Scan(&left); err != nil || left != 0 {
			t.Fatalf("the private half is still there: %d, %v", left, err)
		}
	}
}

// Time goes by on a clock: a retired key verifies for 25 hours, an old one is followed by
// another, and a server of any age finds the keys that it left.
func TestKeysAgeAndEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, stop := w.node(t)
	first := kids(t, at)
	old := w.signsWith(t, at)
	kid := w.rotate(t, w.operator(t), true)
	stop()

	after := func(d time.Duration) server.Option {
		return server.WithClock(func() time.Time { return time.Now().Add(d) })
	}
	at, stop = w.node(t, after(24*time.Hour+50*time.Minute))
	time.Sleep(10 * quick.Poll)
	if published := kids(t, at); !slices.Contains(published, old) {
		t.Errorf("%s is gone before its time: %v", old, published)
	}
	stop()
	at, stop = w.node(t, after(25*time.Hour+time.Minute))
	eventually(t, "the retired key is gone", func() bool { return !slices.Contains(kids(t, at), old) })
	if published := kids(t, at); len(published) != len(first) {
		t.Errorf("%v are published, want %s and the one that was never replaced", published, kid)
	}
	stop()

	at, _ = w.node(t, after(91*24*time.Hour))
	eventually(t, "every key that signs has been followed by another", func() bool {
		published := kids(t, at)
		return len(published) == 4 && w.signsWith(t, at) != kid
	})
	var left int
	if err := pgtest.Pool(t, w.Database.SuperuserURL).QueryRow(t.Context(), `SELECT count(*) FROM signing_keys WHERE kid = $1`, old).Scan(&left); err != nil || left != 0 {
		t.Errorf("the private half of the key that is gone is there: %d, %v", left, err)
	}
	events, _ := w.keyEvents(t)
	if !slices.Contains(events, domain.Event(domain.SigningKeyRemoved{KeyID: old, Algorithm: "ES256"})) {
		t.Errorf("that it is gone is not on record: %+v", events)
	}
}

func TestAStartMayForceARotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, stop := w.node(t)
	before := w.signsWith(t, at)
	stop()
	time.Sleep(quick.Spacing)
	settings := w.Config(t, "OIDC_FORCE_KEY_ROTATION=true", "JWKS_CACHE_TTL_SECONDS=17")
	for range 2 { // two servers, one key
		at, _ = w.ServeUntil(t, settings, slog.New(slog.DiscardHandler), server.WithKeyTiming(unhurried()))
	}
	if published := kids(t, at); len(published) != 3 || w.signsWith(t, at) != before {
		t.Errorf("%v are published and %s signs; want one more, and the old one", published, w.signsWith(t, at))
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/.well-known/jwks.json", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, _, err := send(request)
	if err != nil || response.Header.Get("Cache-Control") != "public, max-age=17" {
		t.Errorf("Cache-Control %q, %v", response.Header.Get("Cache-Control"), err)
	}
	eventually(t, "the new key signs", func() bool { return w.signsWith(t, at) != before })
}

// Another JWT_SIGNING_ALG of which no key is left goes on with the other kind until the
// lead of a new key is over.
func TestAnotherAlgorithmWaitsForItsLead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, stop := w.node(t)
	k := w.operator(t)
	for _, key := range listed(t, k) {
		if key.Algorithm == "RS256" {
			if _, err := k.Retire(t.Context(), key.KeyID, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	es256 := w.signsWith(t, at)
	stop()
	time.Sleep(quick.Spacing)
	at, _ = w.ServeUntil(t, w.Config(t, "JWT_SIGNING_ALG=RS256"), slog.New(slog.DiscardHandler), server.WithKeyTiming(unhurried()))
	if got := w.signsWith(t, at); got != es256 {
		t.Errorf("it signs with %s at once, want %s until the lead is over", got, es256)
	}
	eventually(t, "it signs with RS256", func() bool { return w.signsWith(t, at) != es256 })
	for _, key := range listed(t, k) {
		if signs := w.signsWith(t, at); key.KeyID == signs && key.Algorithm != "RS256" {
			t.Errorf("it signs with %+v", key)
		}
	}
}

func listed(t *testing.T, k *upkeep.SigningKeys) []keys.Listed {
	t.Helper()
	all, err := k.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// After agentidp tokens end, which deletes all keys, servers sign with others.
func TestKeysThatWereDeletedAreReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, stop := w.node(t)
	w.rotate(t, w.operator(t), true)
	token, err := w.token(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := pgtest.Pool(t, w.Database.SuperuserURL).Exec(t.Context(), `DELETE FROM signing_keys`); err != nil {
		t.Fatal(err)
	}
	at, _ = w.node(t)
	if err := w.accepted(t.Context(), at, token); !refused(err) {
		t.Errorf("a token of before: %v", err)
	}
	if got := w.signsWith(t, at); !slices.Contains(kids(t, at), got) || len(kids(t, at)) != 2 {
		t.Errorf("it signs with %s and publishes %v", got, kids(t, at))
	}
	lost := kidOf(t, token)
	eventually(t, "it is on record that the key is gone", func() bool {
		events, _ := w.keyEvents(t)
		return slices.Contains(events, domain.Event(domain.SigningKeyRemoved{KeyID: lost, Algorithm: "ES256"}))
	})
}
