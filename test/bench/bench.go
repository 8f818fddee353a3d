package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sentryagent/agentidp/internal/devservices"
	"github.com/sentryagent/agentidp/migrations"
)

// bench is one run.
type bench struct {
	options
	table

	dir      string // temporary; everything is in it
	services *devservices.Services
	program  string // the server's binary
	progress io.Writer

	rsa *rsa.PrivateKey

	warmUp, duration time.Duration // of each measurement
	events           int           // in the large ledger
}

// group is what -only chooses from.
type group struct {
	name    string
	measure func(*bench, context.Context) error
}

func groups() []group {
	return []group{
		{"signing", (*bench).signing},
		{"rs256", (*bench).rs256},
		{"es256", (*bench).es256},
		{"limits", (*bench).limits},
		{"exchange", (*bench).exchange},
		{"trees", (*bench).trees},
		{"sync", (*bench).tokenCheck},
		{"append", (*bench).appending},
		{"esdb", (*bench).eventStoreDB},
		{"readers", (*bench).readers},
		{"start", (*bench).starting},
		{"verify", (*bench).verifying},
		{"rebuild", (*bench).rebuilding},
		{"cold", (*bench).cold},
		{"large", (*bench).large},
		{"grown", (*bench).grown},
		{"endurance", (*bench).enduring},
		{"before", (*bench).before},
	}
}

func groupNames() []string {
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
	}
	return names
}

func measure(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	b := &bench{options: o, progress: stderr, warmUp: 2 * time.Second, duration: 6 * time.Second, events: 1_000_000}
	if o.quick {
		b.warmUp, b.duration, b.events = time.Second, 2*time.Second, 100_000
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, g := range groups() {
		if !o.wants(g.name) {
			continue
		}
		if err := g.measure(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	if o.json {
		return b.table.writeJSON(stdout)
	}
	return b.table.write(stdout)
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if b.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return err
	}
	if b.dir, err = devservices.TempDir(); err != nil {
		return err
	}
	b.say("building the server")
	b.program = filepath.Join(b.dir, "agentidp")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.program, "github.com/sentryagent/agentidp/cmd/agentidp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", build, err, output)
	}
	if b.services, err = devservices.Start(ctx, devservices.Options{Dir: b.dir, Progress: b.say}); err != nil {
		return err
	}
	if _, err := migrations.Up(ctx, b.services.OwnerDatabaseURL); err != nil {
		return err
	}
	return b.describeMachine(ctx)
}

func (b *bench) close() error {
	var err error
	if b.services != nil {
		const patience = time.Minute
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = b.services.Stop(ctx)
		location, readErr := os.ReadFile(filepath.Join(b.dir, "data-location"))
		if readErr == nil {
			err = errors.Join(err, os.RemoveAll(string(location[:len(location)-1])))
		}
	}
	if b.dir != "" {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	return err
}

func (b *bench) say(line string) { fmt.Fprintln(b.progress, "→", line) }
