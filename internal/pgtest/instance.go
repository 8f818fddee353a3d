package pgtest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/internal/devservices"
)

const (
	ownerRole  = "agentidp_owner"
	serverRole = "agentidp"

	// adminLock serializes what concerns the whole instance: roles and templates.
	adminLock = 0x6167656e74546573 // "agentTes"
)

// instance is the PostgreSQL and Redis that this test process uses.
type instance struct {
	superuser *url.URL
	redisURL  string
	admin     *pgxpool.Pool         // as superuser, for making and dropping databases
	own       *devservices.Services // nil when somebody else started them
	dir       string                // of own
}

// shared is the instance of this process, made at the first use. mu guards it; a failure is kept, so that many tests
// do not wait for it one by one.
var shared struct {
	mu       sync.Mutex
	instance *instance
	err      error
}

func use(tb testing.TB) *instance {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.instance == nil && shared.err == nil {
		shared.instance, shared.err = open(context.Background())
	}
	if shared.err != nil {
		tb.Fatalf("pgtest: %v", shared.err)
	}
	return shared.instance
}

// Main runs the tests of a package and then stops the services that were started for it. Call it from TestMain.
func Main(m *testing.M) {
	m.Run() // its result becomes the exit code when TestMain returns
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.instance != nil {
		if err := shared.instance.close(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
		}
		shared.instance, shared.err = nil, errors.New("used after Main")
	}
}

func open(ctx context.Context) (_ *instance, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	i := &instance{redisURL: os.Getenv("AGENTIDP_TEST_REDIS_URL")}
	databaseURL := os.Getenv("AGENTIDP_TEST_DATABASE_URL")
	if (databaseURL == "") != (i.redisURL == "") {
		return nil, errors.New("set AGENTIDP_TEST_DATABASE_URL and AGENTIDP_TEST_REDIS_URL, or neither")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.close())
		}
	}()
	if databaseURL == "" {
		if i.dir, err = devservices.TempDir(); err != nil {
			return nil, err
		}
		if i.own, err = devservices.Start(ctx, devservices.Options{Dir: i.dir, Volatile: true}); err != nil {
			return nil, err
		}
		databaseURL, i.redisURL = i.own.SuperuserURL, i.own.RedisURL
	}
	if i.superuser, err = url.Parse(databaseURL); err != nil {
		return nil, errors.New("AGENTIDP_TEST_DATABASE_URL is not a URL")
	}
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, errors.New("AGENTIDP_TEST_DATABASE_URL is not a PostgreSQL URL")
	}
	config.MaxConns = 4
	if i.admin, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	return i, i.locked(ctx, i.ensureRoles)
}

func (i *instance) close() error {
	if i.admin != nil {
		i.admin.Close()
	}
	var err error
	if i.own != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err = i.own.Stop(ctx)
	}
	if i.dir != "" {
		err = errors.Join(err, os.RemoveAll(i.dir))
	}
	return err
}

// locked runs do while no other process of the instance is in locked. The lock belongs to conn's session.
func (i *instance) locked(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	return i.admin.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		if _, err := c.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(adminLock)); err != nil {
			return err
		}
		err := do(ctx, c.Conn())
		_, unlockErr := c.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(adminLock))
		return errors.Join(err, unlockErr)
	})
}

// ensureRoles makes the roles that devservices makes too, with passwords that every test process can work out.
func (i *instance) ensureRoles(ctx context.Context, conn *pgx.Conn) error {
	for role, rights := range map[string]string{ownerRole: "LOGIN CREATEROLE", serverRole: "LOGIN"} {
		verb := "CREATE"
		var exists bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role).Scan(&exists); err != nil {
			return err
		}
		if exists {
			verb = "ALTER"
		}
		if _, err := conn.Exec(ctx, fmt.Sprintf(`%s ROLE %s %s PASSWORD '%s'`, verb, role, rights, i.password(role))); err != nil {
			return err
		}
	}
	return nil
}

func (i *instance) password(role string) string {
	secret, _ := i.superuser.User.Password()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(role))
	return hex.EncodeToString(mac.Sum(nil))
}

// url gives the URL of a database for a role; the empty role is the superuser.
func (i *instance) url(role, database string) string {
	u := *i.superuser
	u.Path = "/" + database
	if role != "" {
		u.User = url.UserPassword(role, i.password(role))
	}
	return u.String()
}
