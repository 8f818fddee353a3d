package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/server/stores"
)

// ledger is a ledger that is opened without a server.
type ledger struct {
	at    ledgerAt
	pool  *pgxpool.Pool // as the server's role
	owner *pgxpool.Pool
	store *postgres.Store
}

// openLedger opens a ledger in a database of its own, made where it is not there.
func (b *bench) openLedger(ctx context.Context, database string) (_ *ledger, err error) {
	l := &ledger{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.at, err = b.migrated(ctx, database); err != nil {
		return nil, err
	}
	settings, err := b.config(l.at)
	if err != nil {
		return nil, err
	}
	if l.owner, err = pgxpool.New(ctx, l.at.ownerURL); err != nil {
		return nil, err
	}
	if l.pool, err = stores.OpenDatabase(ctx, settings); err != nil {
		return nil, err
	}
	l.store = postgres.New(ctx, l.pool, postgres.Options{})
	return l, nil
}

func (l *ledger) close() {
	if l.store != nil {
		l.store.Close()
	}
	for _, pool := range []*pgxpool.Pool{l.pool, l.owner} {
		if pool != nil {
			pool.Close()
		}
	}
}

// migrated is a database for a ledger, made where it is not there.
func (b *bench) migrated(ctx context.Context, database string) (ledgerAt, error) {
	at, err := b.database(ctx, database)
	if err == nil {
		_, err = migrations.Up(ctx, at.ownerURL)
	}
	return at, err
}

// database makes a database beside that of the services, for the same roles.
func (b *bench) database(ctx context.Context, name string) (at ledgerAt, err error) {
	if at.databaseURL, err = withDatabase(b.services.DatabaseURL, name); err != nil {
		return at, err
	}
	if at.ownerURL, err = withDatabase(b.services.OwnerDatabaseURL, name); err != nil {
		return at, err
	}
	superuserURL, err := withDatabase(b.services.SuperuserURL, name)
	if err != nil {
		return at, err
	}
	var exists bool
	err = onDatabase(ctx, b.services.SuperuserURL, func(conn *pgx.Conn) error {
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists); err != nil || exists {
			return err
		}
		_, err := conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize()+` OWNER agentidp_owner`)
		return err
	})
	if err != nil || exists {
		return at, err
	}
	return at, onDatabase(ctx, superuserURL, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `ALTER SCHEMA public OWNER TO agentidp_owner`)
		return err
	})
}

func onDatabase(ctx context.Context, databaseURL string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

func withDatabase(databaseURL, name string) (string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// issuer makes drafts like those that issuing tokens makes, about 600 bytes
// long as records.
type issuer struct {
	agent        domain.AgentID
	credential   domain.CredentialID
	organization uuid.UUID
}

func newIssuer(organization uuid.UUID) issuer {
	return issuer{domain.AgentID{UUID: newID()}, domain.CredentialID{UUID: newID()}, organization}
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func (i issuer) stream() string { return domain.AgentStream(i.agent) }

func (i issuer) draft() eventstore.Draft {
	now := time.Now()
	return i.recorded(now, domain.TokenIssued{
		AgentID: i.agent, TokenID: domain.TokenID{UUID: newID()}, CredentialID: i.credential,
		AuthMethod: domain.SecretCredential, Scope: "agents:read", Audience: "http://localhost:3000", Algorithm: "ES256", KeyID: "k1",
		ExpiresAt: now.Add(domain.TokenLifetime).UTC().Truncate(time.Second),
	})
}

// credentialed makes the draft without which verification takes the tokens for
// unfounded.
func (i issuer) credentialed() eventstore.Draft {
	return i.recorded(time.Now(), domain.CredentialGenerated{AgentID: i.agent, CredentialID: i.credential, Kind: domain.SecretCredential})
}

func (i issuer) recorded(now time.Time, fact domain.Event) eventstore.Draft {
	eventType, schema, data, err := domain.Encode(fact)
	if err != nil {
		panic(fmt.Sprintf("a %s that cannot be encoded: %v", fact.EventType(), err)) // its fields are all plain
	}
	return eventstore.Draft{
		ID: newID(), Type: string(eventType), Schema: schema, Organization: i.organization,
		Actor: eventstore.Actor{Kind: "agent", ID: i.agent.String()}, Time: now,
		Request: eventstore.Request{ID: "req-1", IP: "192.0.2.7", Agent: "bench/1"}, Data: data,
	}
}

// fill appends issuances until the ledger has a number of events.
func (b *bench) fill(ctx context.Context, l *ledger, events int) error {
	head, err := l.store.Head(ctx)
	if err != nil {
		return err
	}
	if missing := events - int(head); missing > 0 {
		return b.issueInGroups(ctx, l.store, missing)
	}
	return nil
}

// issueInGroups appends so many issuances, in large groups.
func (b *bench) issueInGroups(ctx context.Context, store eventstore.Store, missing int) error {
	b.say(fmt.Sprintf("appending %s events", thousands(float64(missing))))
	const writers, batch = 4, 500
	organization := newID()
	errs := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		share := missing / writers
		if w == 0 {
			share += missing % writers
		}
		all.Go(func() {
			for left := share; left > 0 && errs[w] == nil; left -= batch {
				from := newIssuer(organization)
				drafts := make([]eventstore.Draft, min(batch, left))
				drafts[0] = from.credentialed()
				for i := range drafts[1:] {
					drafts[1+i] = from.draft()
				}
				_, errs[w] = store.Append(ctx, from.stream(), eventstore.NoStream(), drafts...)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
