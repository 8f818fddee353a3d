package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/ledger"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	database := pgtest.New(t, pgtest.Migrated)
	return pgtest.Pool(t, database.ServerURL)
}

// reversing is a sealer that can be told from clear text and knows its place.
type reversing struct{}

func (reversing) Seal(plain, place []byte) ([]byte, error) {
	return append(reverse(plain), place...), nil
}
func (reversing) Open(sealed, place []byte) ([]byte, error) {
	text, found := bytes.CutSuffix(sealed, place)
	if !found {
		return nil, fmt.Errorf("sealed for another place")
	}
	return reverse(text), nil
}

func reverse(b []byte) []byte {
	r := make([]byte, len(b))
	for i := range b {
		r[len(b)-1-i] = b[i]
	}
	return r
}

func TestOneOfManyRequestsWithOneKeyDoesTheWork(t *testing.T) {
	keys := ledger.NewIdempotencyKeys(newPool(t), reversing{}, time.Now)
	client, request := domain.AgentID{UUID: uuid.New()}, sha256.Sum256([]byte("request"))
	var done atomic.Int64
	got := parallel(20, func(int) error {
		answer, err := keys.Once(t.Context(), client, "key", request, func(_ context.Context, turn ledger.Turn) ([]byte, ledger.Fate) {
			done.Add(1)
			return []byte("made " + turn.ID.String()), ledger.Done
		})
		if err == nil && !bytes.HasPrefix(answer, []byte("made ")) {
			return fmt.Errorf("answer %q", answer)
		}
		return err
	})
	if done.Load() != 1 || got[""] != 20 {
		t.Errorf("the work was done %d times, results %v; want once and 20 answers", done.Load(), got)
	}
}

func TestAKeyStandsForOneRequestOfOneClient(t *testing.T) {
	keys := ledger.NewIdempotencyKeys(newPool(t), reversing{}, time.Now)
	client := domain.AgentID{UUID: uuid.New()}
	make := func(answer string, fate ledger.Fate) func(context.Context, ledger.Turn) ([]byte, ledger.Fate) {
		return func(context.Context, ledger.Turn) ([]byte, ledger.Fate) { return []byte(answer), fate }
	}
	one, other := sha256.Sum256([]byte("one")), sha256.Sum256([]byte("other"))
	for _, step := range []struct {
		client  domain.AgentID
		key     string
		request [sha256.Size]byte
		answer  string
		fate    ledger.Fate
		want    string
		code    domain.Code
	}{
		{client, "refused", one, "refusal", ledger.Undone, "refusal", ""},
		{client, "refused", other, "second try", ledger.Done, "second try", ""}, // a refusal does not use the key up
		{client, "key", one, "first", ledger.Done, "first", ""},
		{client, "key", one, "never", ledger.Done, "first", ""},
		{client, "key", other, "never", ledger.Done, "", domain.CodeIdempotencyKeyReused},
		{client, "undecided", one, "nobody knows", ledger.Undecided, "nobody knows", ""},
		{client, "undecided", other, "never", ledger.Done, "", domain.CodeIdempotencyKeyReused}, // it may be done
		{client, "undecided", one, "now it is", ledger.Done, "now it is", ""},
		{domain.AgentID{UUID: uuid.New()}, "key", other, "theirs", ledger.Done, "theirs", ""},
	} {
		answer, err := keys.Once(t.Context(), step.client, step.key, step.request, make(step.answer, step.fate))
		if string(answer) != step.want || (step.code == "") != (err == nil) || (err != nil && !isCode(err, step.code)) {
			t.Errorf("key %s: got %q, %v; want %q, %s", step.key, answer, err, step.want, step.code)
		}
	}
}

func TestARequestWhoseServerDiedIsRepeatedWithItsID(t *testing.T) {
	pool := newPool(t)
	keys := ledger.NewIdempotencyKeys(pool, reversing{}, time.Now)
	client, request := domain.AgentID{UUID: uuid.New()}, sha256.Sum256([]byte("request"))
	var first ledger.Turn
	func() {
		defer func() { _ = recover() }()
		_, _ = keys.Once(t.Context(), client, "key", request, func(_ context.Context, turn ledger.Turn) ([]byte, ledger.Fate) {
			first = turn
			panic("the server dies")
		})
	}()
	if _, err := pool.Exec(t.Context(), `UPDATE idempotency_keys SET lease_until = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	answer, err := keys.Once(t.Context(), client, "key", request, func(_ context.Context, turn ledger.Turn) ([]byte, ledger.Fate) {
		if !turn.Since.After(first.Since) {
			t.Errorf("the second turn began at %s, the first at %s", turn.Since, first.Since)
		}
		if first.Again || !turn.Again {
			t.Errorf("again: %t in the first turn, %t in the second", first.Again, turn.Again)
		}
		return []byte(turn.ID.String()), ledger.Done
	})
	if err != nil || string(answer) != first.ID.String() {
		t.Errorf("repeated with id %s, %v; want %s", answer, err, first.ID)
	}
}

// Whoever asks again after an answer that left it open gets the same thing, not
// another one.
func TestARequestThatWasLeftOpenIsRepeatedWithItsID(t *testing.T) {
	keys := ledger.NewIdempotencyKeys(newPool(t), reversing{}, time.Now)
	client, request := domain.AgentID{UUID: uuid.New()}, sha256.Sum256([]byte("request"))
	var ids []uuid.UUID
	for _, fate := range []ledger.Fate{ledger.Undecided, ledger.Undecided, ledger.Undone, ledger.Done} {
		_, err := keys.Once(t.Context(), client, "key", request, func(_ context.Context, turn ledger.Turn) ([]byte, ledger.Fate) {
			ids = append(ids, turn.ID)
			return []byte("answer"), fate
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] != ids[1] || ids[1] != ids[2] {
		t.Errorf("ids %s: want the same one for as long as it is open", ids[:3])
	}
	if ids[3] == ids[2] {
		t.Error("what was refused for good is tried again under the same id")
	}
}
