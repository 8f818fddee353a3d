// Package realstore gives tests an EventStoreDB that somebody else runs: the one
// that ESDB_URL names. What tests write there is in ledgers and streams of names
// that nobody else has. With STORE_FAULTS its nodes can be hurt.
package realstore

import (
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/internal/config"
)

// Settings that name the server.
const (
	URLSetting    = "ESDB_URL"
	NameSetting   = "ESDB_TEST_NAME" // what all names begin with
	FaultsSetting = "STORE_FAULTS"
)

// DefaultName begins the names where ESDB_TEST_NAME does not say otherwise.
const DefaultName = "agentidptest"

// URL is the server's connection string; empty where there is none.
func URL(tb testing.TB) string {
	tb.Helper()
	url := os.Getenv(URLSetting)
	if _, ledger := config.CutLedger(url); url != "" && ledger != "" {
		tb.Fatalf("%s names the ledger %q: leave its path out, tests write to ledgers of their own", URLSetting, ledger)
	}
	return url
}

// Require is URL; without one the test is skipped.
func Require(tb testing.TB) string {
	tb.Helper()
	url := URL(tb)
	if url == "" {
		tb.Skip("set " + URLSetting + " to the connection string of an EventStoreDB or KurrentDB that may be written to")
	}
	return url
}

// Name is one that nobody else has, for a ledger or the beginning of streams. It
// has no dash: the server's projections cut names there.
func Name() string {
	begin := os.Getenv(NameSetting)
	if begin == "" {
		begin = DefaultName
	}
	return begin + strings.ReplaceAll(uuid.NewString(), "-", "")
}

// Ledger is the connection string of a ledger on a server that keeps several.
func Ledger(url, name string) string {
	server, query, asked := strings.Cut(url, "?")
	url = strings.TrimSuffix(server, "/") + "/" + name
	if asked {
		url += "?" + query
	}
	return url
}
