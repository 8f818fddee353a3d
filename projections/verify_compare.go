package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// DifferenceKind says how a live row differs from the ledger.
type DifferenceKind string

const (
	Changed DifferenceKind = "changed" // some of its columns say something else
	Missing DifferenceKind = "missing" // the ledger has it, the read model has not
	Extra   DifferenceKind = "extra"   // the read model has it, the ledger has not
)

// Difference is a live row that is not as the ledger says.
type Difference struct {
	Table   string            `json:"table"`
	Key     map[string]string `json:"key"` // the columns of its primary key
	Kind    DifferenceKind    `json:"kind"`
	Columns []string          `json:"columns,omitempty"` // of a changed row, those that differ
	Reason  string            `json:"reason,omitempty"`  // where columns do not say it
}

func (d Difference) String() string {
	var key []string
	for _, name := range slices.Sorted(maps.Keys(d.Key)) {
		key = append(key, name+"="+d.Key[name])
	}
	text := fmt.Sprintf("%s %s: %s", d.Table, strings.Join(key, " "), d.Kind)
	if len(d.Columns) > 0 {
		text += " in " + strings.Join(d.Columns, ", ")
	}
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

// errBackwards: the live read model is before where it was a moment ago.
var errBackwards = errors.New("the live read model went back: the database has been restarted; verify again")

// compareTx sees the live tables as they were when it began, and the temporary
// ones with what it writes itself.
func compareTx() pgx.TxOptions {
	options := derivationTx(temporary)
	options.BeginQuery = strings.Replace(options.BeginQuery, "BEGIN;", "BEGIN ISOLATION LEVEL REPEATABLE READ;", 1)
	return options
}

const selectLive = `SELECT version, position FROM projection_checkpoints WHERE name = $1`

// compare brings the copy to the very position that the live tables have in a
// snapshot of the database, and compares with them as they are in it.
func (v *Verifier) compare(ctx context.Context, c *freshCopy, result *Verified) error {
	return pgx.BeginTxFunc(ctx, c.conn, compareTx(), func(tx pgx.Tx) error {
		var version int
		var live eventstore.Position
		if err := tx.QueryRow(ctx, selectLive, c.projection.Name).Scan(&version, &live); err != nil {
			return err
		}
		switch {
		case version != c.projection.Version:
			return &follow.VersionError{Stored: version, Own: c.projection.Version}
		case live < c.position:
			return errBackwards
		}
		c.live = live
		events, err := missing(ctx, v.store, &c.derivation, live)
		if err != nil {
			return err
		}
		if err := c.apply(ctx, tx, events); err != nil {
			return err
		}
		c.took(events, live)
		result.Position = live
		for _, table := range c.projection.Tables {
			if err := v.compareTable(ctx, tx, table, result); err != nil {
				return fmt.Errorf("compare table %s: %w", table, err)
			}
		}
		return nil
	})
}

const (
	selectKey = `SELECT array_agg(a.attname::text ORDER BY array_position(x.indkey::int2[], a.attnum))
		FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
		WHERE x.indrelid = $1::text::regclass AND x.indisprimary`

	// Images are compared: what is stored, byte by byte. A row that is not there has no ctid.
	compareRows = `SELECT to_jsonb(live) AS live, to_jsonb(fresh) AS fresh, live.ctid IS NULL AS missing, fresh.ctid IS NULL AS extra
		FROM public.%[1]s live FULL JOIN pg_temp.%[1]s fresh USING (%[2]s)
		WHERE live.ctid IS NULL OR fresh.ctid IS NULL OR record_image_ne(live, fresh)`
)

func (v *Verifier) compareTable(ctx context.Context, tx pgx.Tx, table string, result *Verified) error {
	name := pgx.Identifier{table}.Sanitize()
	if _, err := tx.Exec(ctx, `SELECT analyze_verification($1)`, table); err != nil {
		return err
	}
	var key []string
	if err := tx.QueryRow(ctx, selectKey, "public."+name).Scan(&key); err != nil {
		return err
	}
	quoted := make([]string, len(key))
	for i, column := range key {
		quoted[i] = pgx.Identifier{column}.Sanitize()
	}
	rows, err := tx.Query(ctx, fmt.Sprintf(compareRows, name, strings.Join(quoted, ", ")))
	if err != nil {
		return err
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		result.Different++
		if found++; found > v.options.Found {
			continue
		}
		d, err := scanDifference(rows, table, key)
		if err != nil {
			return err
		}
		result.Found = append(result.Found, d)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var count int64
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM pg_temp.`+name).Scan(&count); err != nil {
		return err
	}
	result.Rows += count
	return nil
}

func scanDifference(rows pgx.Rows, table string, key []string) (Difference, error) {
	var live, fresh map[string]json.RawMessage
	var isMissing, isExtra bool
	if err := rows.Scan(&live, &fresh, &isMissing, &isExtra); err != nil {
		return Difference{}, err
	}
	d := Difference{Table: table, Key: map[string]string{}, Kind: Changed}
	row := live
	switch {
	case isMissing:
		d.Kind, row = Missing, fresh
	case isExtra:
		d.Kind = Extra
	default:
		for _, column := range slices.Sorted(maps.Keys(live)) {
			if string(live[column]) != string(fresh[column]) {
				d.Columns = append(d.Columns, column)
			}
		}
	}
	for _, column := range key {
		d.Key[column] = strings.Trim(string(row[column]), `"`)
	}
	return d, nil
}
