package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/devservices"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/server"
	"github.com/sentryagent/agentidp/server/stores"
	"github.com/sentryagent/agentidp/server/upkeep"
)

// Run tells the story on the server that the operator belongs to, if it is up;
// otherwise on one of its own. The ledger that is tampered with is always that
// of a server of its own, thrown away afterwards.
func Run(ctx context.Context, out io.Writer, operator upkeep.Operator) (err error) {
	n := newNarrator(out)
	running := operator.ClientSecret != "" && answers(ctx, operator.BaseURL)
	if running {
		n.say(bold, "Using the server at "+operator.BaseURL)
		j, err := newJourney(n, operator)
		if err != nil {
			return err
		}
		if err := j.walk(ctx); err != nil {
			return err
		}
		n.say(bold, "Now a ledger that may be harmed: a throw-away PostgreSQL, Redis and server are started.")
	} else {
		n.say(bold, "No server is up, so a throw-away PostgreSQL, Redis and server are started.")
	}
	s, err := startStage(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	quiet := n
	if running {
		quiet = newNarrator(io.Discard)
	}
	j, err := newJourney(quiet, s.operator)
	if err != nil {
		return err
	}
	if err := j.walk(ctx); err != nil {
		return err
	}
	return s.tamper(ctx, n, j)
}

func answers(ctx context.Context, base string) bool {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/health", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// stage is a throw-away server with services of its own.
type stage struct {
	services *devservices.Services
	operator upkeep.Operator
	dir      string
	stop     context.CancelFunc
	stopped  chan error
}

func startStage(ctx context.Context) (s *stage, err error) {
	s = &stage{stopped: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = devservices.TempDir(); err != nil {
		return s, err
	}
	if s.services, err = devservices.Start(ctx, devservices.Options{Dir: s.dir, Volatile: true}); err != nil {
		return s, err
	}
	settings, err := s.settings(ctx)
	if err != nil {
		return s, err
	}
	if _, err := stores.Migrate(ctx, settings); err != nil {
		return s, err
	}
	if s.operator, err = upkeep.Bootstrap(ctx, settings, false); err != nil {
		return s, err
	}
	started, err := server.Start(ctx, settings, "demo", slog.New(slog.DiscardHandler))
	if err != nil {
		return s, err
	}
	ctx, s.stop = context.WithCancel(ctx)
	go func() { s.stopped <- started.Run(ctx) }()
	return s, nil
}

func (s *stage) settings(ctx context.Context) (config.Config, error) {
	port, err := freePort(ctx)
	if err != nil {
		return config.Config{}, err
	}
	return config.Load([]string{
		"DATABASE_URL=" + s.services.DatabaseURL,
		"MIGRATE_DATABASE_URL=" + s.services.OwnerDatabaseURL,
		"REDIS_URL=" + s.services.RedisURL,
		"MASTER_KEY_FILE=" + filepath.Join(s.dir, "master.key"),
		"LISTEN_HOST=127.0.0.1",
		"METRICS_PORT=0",
		"PORT=" + strconv.Itoa(port),
	}, "")
}

func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	address, _ := listener.Addr().(*net.TCPAddr)
	return address.Port, listener.Close()
}

func (s *stage) close() error {
	var err error
	if s.stop != nil {
		s.stop()
		err = <-s.stopped
	}
	if s.services != nil {
		const patience = 30 * time.Second
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = errors.Join(err, s.services.Stop(ctx))
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// forge rewrites who a registration was for, as a database superuser with the
// triggers out of the way could.
const forge = `
UPDATE events SET record = convert_to(replace(convert_from(record, 'UTF8'), 'talent-team', 'mallory-inc'), 'UTF8')
 WHERE type = 'agent.created' AND organization_id = $1 RETURNING id::text, position`

func (s *stage) tamper(ctx context.Context, n *narrator, j *journey) error {
	n.step("Somebody tries to alter history, as the owner of the table. The database refuses.")
	if err := s.asOwner(ctx, j.organization.String(), n); err != nil {
		return err
	}
	n.step("A superuser switches the triggers off and rewrites who owns the agent. No row is missing, no index broken.")
	id, position, err := s.asSuperuser(ctx, j.organization.String())
	if err != nil {
		return err
	}
	n.show("altered", fmt.Sprintf("event %s at position %d", id, position))
	n.step("The audit trail is verified again.")
	found, err := j.api.VerifyAuditTrailWithResponse(ctx, nil, j.asOperator)
	if err := agentidp.Want(http.StatusOK, found, err); err != nil {
		return err
	}
	broken, _ := found.JSON200.BrokenAtEventID.Get() // none is no event's id
	n.show("verified", strconv.FormatBool(found.JSON200.Verified))
	n.show("brokenAtEventId", broken.String())
	if found.JSON200.Verified || broken.String() != id {
		return fmt.Errorf("the altered event %s was not found: %s", id, found.Body)
	}
	n.say(red, "Found: the very event that was altered.")
	n.say(green, "That is AgentIdP: an identity provider whose books can be proven.")
	return nil
}

func (s *stage) asOwner(ctx context.Context, organizationID string, n *narrator) error {
	connection, err := pgx.Connect(ctx, s.services.OwnerDatabaseURL)
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, forge, organizationID)
	if err == nil {
		return errors.New("the owner of the table could alter the ledger")
	}
	n.show("PostgreSQL", err.Error())
	return nil
}

func (s *stage) asSuperuser(ctx context.Context, organizationID string) (id string, position int64, err error) {
	options, err := pgx.ParseConfig(s.services.SuperuserURL)
	if err != nil {
		return "", 0, err
	}
	owner, err := pgx.ParseConfig(s.services.OwnerDatabaseURL)
	if err != nil {
		return "", 0, err
	}
	options.Database = owner.Database
	connection, err := pgx.ConnectConfig(ctx, options)
	if err != nil {
		return "", 0, err
	}
	defer connection.Close(ctx)
	if _, err := connection.Exec(ctx, `ALTER TABLE events DISABLE TRIGGER ALL`); err != nil {
		return "", 0, err
	}
	err = connection.QueryRow(ctx, forge, organizationID).Scan(&id, &position)
	return id, position, err
}
