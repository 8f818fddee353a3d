package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/pg"
)

// Verified is the result of comparing a read model with a fresh copy.
type Verified struct {
	Projection string
	Position   eventstore.Position // at which both were compared
	Events     int64               // derived from
	Rows       int64               // compared
	Different  int64               // rows that differ, lack or are too many
	Found      []Difference        // the first of them
	Err        error               // why they could not be compared
}

// VerifyOptions tune a [Verifier]; the zero value is good.
type VerifyOptions struct {
	// Found is how many differences of a table are named at most. Default: 20.
	Found int
	// Report is called with how far derivations are, by several goroutines. May be
	// nil.
	Report func(RebuildState)
}

// Verifier compares the rows of read models with those of a fresh copy. It changes
// nothing and holds nobody up: it derives into temporary tables, and looks at
// the live ones as they were at one position.
type Verifier struct {
	pool    *pgxpool.Pool
	store   eventstore.Store
	options VerifyOptions
}

// NewVerifier makes a verifier on the server's pool.
func NewVerifier(pool *pgxpool.Pool, store eventstore.Store, options VerifyOptions) *Verifier {
	if options.Found <= 0 {
		options.Found = 20
	}
	return &Verifier{pool: pool, store: store, options: options}
}

// temporary is the schema of a session's own tables.
const temporary = "pg_temp"

// Verify verifies projections in one pass over the ledger. The results are in
// their order; one that cannot be verified does not keep the others from it.
func (v *Verifier) Verify(ctx context.Context, list ...Projection) []Verified {
	results := make([]Verified, len(list))
	copies := make([]*freshCopy, len(list))
	var opened []*derivation
	var together eventstore.Position
	for i := range list {
		results[i].Projection = list[i].Name
		c, err := v.open(ctx, &list[i])
		if err != nil {
			results[i].Err = err
			continue
		}
		defer pg.Discard(c.conn)
		if len(opened) == 0 || c.live < together {
			together = c.live
		}
		copies[i], opened = c, append(opened, &c.derivation)
	}
	if len(opened) > 0 {
		if err := pass(ctx, v.store, opened, together); err != nil {
			for i := range copies {
				results[i].Err = errors.Join(results[i].Err, err)
			}
			return results
		}
	}
	for i, c := range copies {
		if c != nil {
			results[i] = v.verify(ctx, c)
		}
	}
	return results
}

// freshCopy is a read model that was just derived, into temporary tables of a session.
type freshCopy struct {
	derivation
	live eventstore.Position // where the live one is, or was a moment ago
}

// verify derives what is still lacking and compares.
func (v *Verifier) verify(ctx context.Context, c *freshCopy) Verified {
	result := Verified{Projection: c.projection.Name}
	for {
		if c.err == nil && c.position < c.live {
			result.Err = pass(ctx, v.store, []*derivation{&c.derivation}, c.live)
		}
		if result.Err = errors.Join(result.Err, c.err); result.Err == nil {
			result.Err = v.compare(ctx, c, &result)
		}
		if !errors.Is(result.Err, errTooFar) {
			break
		}
	}
	result.Events = c.events
	if result.Err != nil { // what was not compared to the end has no differences to tell
		result.Rows, result.Different, result.Found = 0, 0, nil
	}
	return result
}

// open makes empty temporary tables.
func (v *Verifier) open(ctx context.Context, p *Projection) (*freshCopy, error) {
	live, err := follow.Place(ctx, v.pool, p.Name, p.Version)
	if err != nil {
		return nil, err
	}
	conn, err := pg.Connect(ctx, v.pool, "agentidp verify "+p.Name)
	if err != nil {
		return nil, err
	}
	c := &freshCopy{derivation: *newDerivation(p, conn, temporary), live: live}
	if v.options.Report != nil {
		c.moved = func(position eventstore.Position) {
			v.options.Report(RebuildState{Projection: p.Name, Stage: Filling, Position: position, Head: max(c.live, position)})
		}
	}
	bare := []string{}
	if p.Bulk != nil {
		bare = append(bare, p.Bulk.Bare...)
	}
	err = pgx.BeginTxFunc(ctx, conn, c.begin, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT begin_verification($1, $2)`, p.Tables, bare)
		return err
	})
	if err != nil {
		pg.Discard(conn)
		return nil, fmt.Errorf("make temporary tables: %w", err)
	}
	return c, nil
}
