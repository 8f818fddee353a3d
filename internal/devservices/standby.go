package devservices

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Standby follows the PostgreSQL of [Services], and takes no writes until it is
// promoted.
type Standby struct {
	DatabaseURL  string // as those of Services
	SuperuserURL string
	Address      string // host:port
	postgres     *postgres
}

// StartStandby makes a streaming standby of PostgreSQL in its state of now. Stop
// it before Services.
func (s *Services) StartStandby(ctx context.Context) (*Standby, error) {
	primary := *s.postgres
	p := &primary
	p.process, p.port = nil, 0
	p.dataDir, p.log = filepath.Join(s.place.dir, "standby"), filepath.Join(s.place.dir, "standby.log")
	cmd := exec.Command(p.programs.basebackup, "--pgdata="+p.dataDir, "--dbname="+s.SuperuserURL, "--write-recovery-conf",
		"--wal-method=stream", "--checkpoint=fast", "--no-sync")
	cmd.Dir = s.place.dir
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	copying, err := startProcess(cmd, s.place.account, syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	select {
	case <-copying.done:
	case <-ctx.Done():
		_ = copying.stop(context.WithoutCancel(ctx), patience{syscall.SIGTERM, 5 * time.Second})
		return nil, ctx.Err()
	}
	if copying.err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", copying.err, output.String())
	}
	if err := onFreePort(&p.port, func() error { return p.start(ctx) }); err != nil {
		return nil, err
	}
	return &Standby{
		DatabaseURL: p.url(serverRole, databaseName), SuperuserURL: p.url(superuser, superuser),
		Address: fmt.Sprintf("127.0.0.1:%d", p.port), postgres: p,
	}, nil
}

// Stop ends the standby.
func (s *Standby) Stop(ctx context.Context) error { return s.postgres.stop(ctx) }
