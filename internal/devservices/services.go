package devservices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options says where and how services run.
type Options struct {
	Dir      string            // made if missing; one process at a time may use it
	Volatile bool              // for tests: PostgreSQL without fsync, and Stop removes its data
	Progress func(line string) // told about steps that take time; may be nil
}

// Services are a running PostgreSQL and Redis. Its methods must not be called concurrently.
type Services struct {
	DatabaseURL      string // role agentidp, the server's: may log in, owns nothing
	OwnerDatabaseURL string // role agentidp_owner: owns database agentidp and may make roles
	SuperuserURL     string // role postgres on database postgres
	RedisURL         string

	dir      string
	volatile bool
	lock     *os.File
	place    place
	postgres *postgres
	redis    *redisServer
}

// Start starts both services below o.Dir and returns when they answer. The data of an earlier Start is found again, on the
// same ports where those are still free. `<Dir>/env` (mode 0600) then holds DATABASE_URL, MIGRATE_DATABASE_URL and
// REDIS_URL as lines of NAME=value.
//
// ErrInUse: another process runs services in this directory. ErrMissing: a program is not there and could not be
// installed. When a server does not come up, the error ends with the last lines of its log.
func Start(ctx context.Context, o Options) (_ *Services, err error) {
	progress := o.Progress
	if progress == nil {
		progress = func(string) {}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	programs, err := findOrInstall(ctx, progress)
	if err != nil {
		return nil, err
	}
	s := &Services{dir: dir, volatile: o.Volatile}
	defer func() {
		if err != nil {
			stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			err = errors.Join(err, s.Stop(stopCtx))
		}
	}()
	if err := s.prepare(); err != nil {
		return s, err
	}
	state, err := loadState(dir)
	if err != nil {
		return s, err
	}
	s.postgres = newPostgres(programs, s.place, state, o.Volatile)
	s.redis = newRedis(programs, s.place, state)
	if err := clearLeftovers(ctx, s.postgres.dataDir, s.redis.dir); err != nil {
		return s, err
	}
	if err := s.postgres.bootstrap(ctx, progress); err != nil {
		return s, fmt.Errorf("start PostgreSQL: %w", err)
	}
	progress("starting Redis")
	if err := onFreePort(&s.redis.port, func() error { return s.redis.start(ctx) }); err != nil {
		return s, fmt.Errorf("start Redis: %w", err)
	}
	state.PostgresPort, state.RedisPort = s.postgres.port, s.redis.port
	if err := state.save(dir); err != nil {
		return s, err
	}
	s.DatabaseURL = s.postgres.url(serverRole, databaseName)
	s.OwnerDatabaseURL = s.postgres.url(ownerRole, databaseName)
	s.SuperuserURL = s.postgres.url(superuser, superuser)
	s.RedisURL = s.redis.url()
	return s, s.writeEnv()
}

// prepare makes and locks the directory and decides where the data goes.
func (s *Services) prepare() error {
	account, err := unprivileged()
	if err != nil {
		return err
	}
	mode := os.FileMode(0o700)
	if account != nil {
		mode = 0o711 // the other user passes through to its own directory; every file of ours is 0600
	}
	if _, err := os.Stat(s.dir); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(s.dir, mode); err != nil {
			return err
		}
		if err := os.Chmod(s.dir, mode); err != nil {
			return err
		}
	}
	if s.lock, err = lockDirectory(s.dir); err != nil {
		return err
	}
	s.place, err = choosePlace(s.dir, account)
	return err
}

// Stop ends both services, gently first and with SIGKILL in the end or when ctx is done, and returns when they are gone.
// Volatile data is removed. Stop may be called again.
func (s *Services) Stop(ctx context.Context) error {
	if s.lock == nil {
		return nil
	}
	var err error
	if s.redis != nil {
		err = errors.Join(err, s.redis.stop(ctx))
	}
	if s.postgres != nil {
		err = errors.Join(err, s.postgres.stop(ctx))
	}
	if s.volatile && s.place.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.place.dir))
	}
	err = errors.Join(err, s.lock.Close())
	s.lock = nil
	return err
}

// RestartPostgres ends every connection and starts PostgreSQL again on the same port, with its data.
func (s *Services) RestartPostgres(ctx context.Context) error {
	if err := s.StopPostgres(ctx); err != nil {
		return err
	}
	return s.StartPostgres(ctx)
}

// StopPostgres shuts PostgreSQL down; its data stays.
func (s *Services) StopPostgres(ctx context.Context) error { return s.postgres.stop(ctx) }

// StartPostgres starts PostgreSQL after StopPostgres, on the same port.
func (s *Services) StartPostgres(ctx context.Context) error { return s.postgres.start(ctx) }

// StopRedis ends Redis, and with it everything it held.
func (s *Services) StopRedis(ctx context.Context) error { return s.redis.stop(ctx) }

// StartRedis starts Redis after StopRedis, empty, on the same port.
func (s *Services) StartRedis(ctx context.Context) error { return s.redis.start(ctx) }

func (s *Services) writeEnv() error {
	text := fmt.Sprintf("DATABASE_URL=%s\nMIGRATE_DATABASE_URL=%s\nREDIS_URL=%s\n", s.DatabaseURL, s.OwnerDatabaseURL, s.RedisURL)
	return writeFile(filepath.Join(s.dir, "env"), []byte(text))
}
