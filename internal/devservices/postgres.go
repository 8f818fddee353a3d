package devservices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	superuser    = "postgres"
	ownerRole    = "agentidp_owner"
	serverRole   = "agentidp"
	databaseName = "agentidp"

	codeInvalidPassword = "28P01"
)

type postgres struct {
	programs  programs
	place     place
	dataDir   string
	log       string
	passwords map[string]string // by role
	volatile  bool
	port      int
	process   *process
}

func newPostgres(programs programs, place place, state *state, volatile bool) *postgres {
	return &postgres{
		programs: programs,
		place:    place,
		dataDir:  filepath.Join(place.dir, "postgres"),
		log:      filepath.Join(place.dir, "postgres.log"),
		passwords: map[string]string{
			superuser:  state.SuperuserPassword,
			ownerRole:  state.OwnerPassword,
			serverRole: state.ServerPassword,
		},
		volatile: volatile,
		port:     state.PostgresPort,
	}
}

func (p *postgres) url(role, database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", role, p.passwords[role], p.port, database)
}

// bootstrap makes the cluster if there is none, starts it and sees to its roles and database.
func (p *postgres) bootstrap(ctx context.Context, progress func(string)) error {
	if _, err := os.Stat(p.dataDir); errors.Is(err, fs.ErrNotExist) {
		progress("creating a private PostgreSQL cluster in " + p.dataDir)
		if err := p.initdb(ctx); err != nil {
			return fmt.Errorf("initdb: %w", err)
		}
	}
	progress("starting PostgreSQL")
	if err := onFreePort(&p.port, func() error { return p.start(ctx) }); err != nil {
		return err
	}
	return p.ensureRoles(ctx)
}

// initdb makes the cluster beside its place and moves it there when it is complete.
func (p *postgres) initdb(ctx context.Context) error {
	unfinished := p.dataDir + ".unfinished"
	passwordFile := filepath.Join(p.place.dir, "password")
	if err := errors.Join(os.RemoveAll(unfinished), writeFile(passwordFile, []byte(p.passwords[superuser]+"\n"))); err != nil {
		return err
	}
	defer os.Remove(passwordFile)
	if err := p.place.account.own(passwordFile); err != nil {
		return err
	}
	cmd := exec.Command(p.programs.initdb, "--pgdata="+unfinished, "--username="+superuser, "--pwfile="+passwordFile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-instructions")
	if p.volatile {
		cmd.Args = append(cmd.Args, "--no-sync")
	}
	cmd.Dir = p.place.dir
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	process, err := startProcess(cmd, p.place.account, syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case <-process.done:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), process.stop(ctx))
	}
	if process.err != nil {
		return fmt.Errorf("%w\n%s", process.err, output.String())
	}
	return os.Rename(unfinished, p.dataDir)
}

// start starts PostgreSQL on p.port and returns when it answers, which after a crash is when it has recovered.
func (p *postgres) start(ctx context.Context) error {
	if p.process != nil {
		return errors.New("it runs already")
	}
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	settings := []string{
		fmt.Sprint("port=", p.port),
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=",
		"shared_buffers=256MB",
		"max_connections=200",
		"log_timezone=UTC",
		"timezone=UTC",
	}
	if p.volatile {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	cmd := exec.Command(p.programs.postgres, "-D", p.dataDir)
	for _, setting := range settings {
		cmd.Args = append(cmd.Args, "-c", setting)
	}
	cmd.Dir = p.place.dir
	cmd.Stdout, cmd.Stderr = log, log
	process, err := startProcess(cmd, p.place.account, syscall.SIGINT)
	if err != nil {
		return err
	}
	p.process = process
	if err := process.await(ctx, 2*time.Minute, p.ping); err != nil {
		_ = p.stop(ctx)
		lines := lastLines(p.log, 20)
		if strings.Contains(lines, "could not bind IPv4 address") {
			err = errors.Join(errPortTaken, err)
		}
		return fmt.Errorf("%w\n%s", err, lines)
	}
	return nil
}

func (p *postgres) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.url(superuser, superuser))
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.Code == codeInvalidPassword {
		return fmt.Errorf("%w: the cluster in %s has other passwords than state.json; remove both to begin anew", errHopeless, p.dataDir)
	}
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// stop is a fast shutdown (SIGINT), after 30 s an immediate one (SIGQUIT).
func (p *postgres) stop(ctx context.Context) error {
	if p.process == nil {
		return nil
	}
	err := p.process.stop(ctx, patience{syscall.SIGINT, 30 * time.Second}, patience{syscall.SIGQUIT, 5 * time.Second})
	p.process = nil
	return err
}
