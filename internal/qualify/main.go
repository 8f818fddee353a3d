// Command qualify asks whether an EventStoreDB, as somebody runs it, can keep a
// ledger: `make test-esdb ESDB_URL=…`. It runs the tests that can run on any
// server, and ends with a table of what they found. Without ESDB_URL it takes a
// short look at the wire server, in a process of its own.
//
// docs/guides/qualify-eventstoredb.md is for those who use it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/realstore"
)

// Exit codes.
const (
	exitQualified    = 0 // nothing failed
	exitNotQualified = 1 // something did
	exitNotBegun     = 2 // nothing was tried
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Stdout, os.Stderr))
}

func run(ctx context.Context, stdout, stderr io.Writer) int {
	url, own := os.Getenv(realstore.URLSetting), false
	name, err := nameOf(os.Getenv(realstore.NameSetting))
	if err == nil && url == "" {
		var server *wireServer
		if server, err = startWireServer(ctx, stderr); err == nil {
			defer server.stop()
			url, own = server.url, true
		}
	}
	if err == nil {
		err = apart(url)
	}
	var version string
	if err == nil {
		version, err = look(ctx, url, name)
	}
	if err != nil {
		fmt.Fprintln(stderr, "test-esdb: nothing was tried:", err)
		return exitNotBegun
	}
	intro(stdout, own, version, name)
	// What runs the tests is the same for every server; only how long differs.
	environ := append(os.Environ(), realstore.URLSetting+"="+url, realstore.NameSetting+"="+name, "TEST_EVENTSTORE="+config.EventStoreESDB, "CHAOS_ENGINE="+config.EventStoreESDB)
	found, err := all(ctx, stdout, steps(own), environ)
	if err != nil {
		fmt.Fprintln(stderr, "test-esdb:", err)
		return exitNotBegun
	}
	return conclude(stdout, version, name, own, found)
}

func intro(out io.Writer, own bool, version, name string) {
	which := "The server that ESDB_URL names"
	if own {
		which = "ESDB_URL is not set: the wire server, in a short run,"
	}
	fmt.Fprintf(out, "%s has version %s.\nWhat is written there is in streams whose names begin with %q, %q or %q, and nowhere else.\nNothing that is there is changed.\n",
		which, version, name, "$"+name, "$$"+name)
	if os.Getenv(realstore.FaultsSetting) != "" {
		fmt.Fprintf(out, "%s is set: nodes of the server will be frozen and killed. Whoever else uses it will notice.\n", realstore.FaultsSetting)
	}
}

var goodName = regexp.MustCompile(`^[a-z][a-z0-9]{0,30}$`)

// nameOf is what all names of this run begin with. It is no run's before, and no
// part of another name that ends with a slash.
func nameOf(begin string) (string, error) {
	if begin == "" {
		begin = realstore.DefaultName
	}
	if !goodName.MatchString(begin) {
		return "", fmt.Errorf("%s is %q: it begins the names of ledgers, and is up to 31 small letters and digits, a letter first", realstore.NameSetting, begin)
	}
	return begin + strings.ReplaceAll(uuid.NewString(), "-", "")[:8], nil
}

// apart refuses a connection string that names a ledger: tests write to none that
// somebody has.
func apart(url string) error {
	server, ledger := config.CutLedger(url)
	if ledger != "" {
		return fmt.Errorf("ESDB_URL names the ledger %q; leave the path out: tests write to ledgers of their own, beside it", ledger)
	}
	if _, err := realstore.Parse(server); err != nil {
		return errors.New("ESDB_URL is no connection string of an EventStoreDB, such as esdb://user:password@es1:2113,es2:2113,es3:2113") // err may quote a password
	}
	return nil
}

// look finds out whether there is a server, which it is, and that nobody has the
// name.
func look(ctx context.Context, url, name string) (version string, err error) {
	const patience = 10 * time.Minute // a filter looks at everything that the server has
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	server, err := realstore.Parse(url)
	if err != nil {
		return "", err
	}
	return server.Look(ctx, name, "$"+name, "$$"+name)
}
