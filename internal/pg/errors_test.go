package pg_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/internal/pg"
)

func TestPassing(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"08006": true, "25006": true, "25P03": true, "40001": true, "40P01": true, "53300": true, "55P03": true,
		"57014": true, "57P01": true, "57P03": true, "58030": true,
		"22P02": false, "23505": false, "25P02": false, "28P01": false, "42501": false, "42P01": false, "54000": false, "XX000": false, "": true,
	} {
		err := fmt.Errorf("query: %w", &pgconn.PgError{Code: code})
		if got := pg.Passing(err); got != want {
			t.Errorf("%s passes: %v, want %v", code, got, want)
		}
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"no error":                     {nil, false},
		"a connection that broke":      {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		"an answer of another shape":   {fmt.Errorf("scan: %w", pgx.ScanArgError{Err: errors.New("cannot scan")}), false},
		"a password that is not right": {fmt.Errorf("connect: %w", &pgconn.ConnectError{}), true},
	} {
		if got := pg.Passing(c.err); got != c.want {
			t.Errorf("%s passes: %v, want %v", name, got, c.want)
		}
	}
}

func TestIsKnowsTheDatabasesErrorsOnly(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("insert: %w", &pgconn.PgError{Code: "23505"})
	if !pg.Is(err, pg.NotPermitted, pg.UniqueViolation) || pg.Is(err, pg.NotPermitted) || pg.Is(io.EOF, "") || pg.Is(nil, "") {
		t.Errorf("%q is something else", pg.State(err))
	}
}
