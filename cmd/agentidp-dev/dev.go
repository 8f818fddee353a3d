package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/devservices"
	"github.com/sentryagent/agentidp/server"
	"github.com/sentryagent/agentidp/server/stores"
	"github.com/sentryagent/agentidp/server/upkeep"
)

const (
	operatorFile = "operator.json"
	envFile      = "env"   // settings of the services, by which they are found
	netrcFile    = "netrc" // the same for curl --netrc-file, so that no secret stands on a command line
)

func (c *cli) devCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine: private PostgreSQL and Redis, migrated, bootstrapped, served",
		Long: `Run everything on this machine: a private PostgreSQL and Redis, migrated,
bootstrapped and served on http://localhost:3000. Nothing of the machine's own
is touched, and Ctrl-C stops all of it; the data stays for the next time.

Set DATABASE_URL and REDIS_URL to use your own services instead.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			d := &dev{cli: c, dir: dir, out: cmd.OutOrStdout()}
			defer func() { err = errors.Join(err, d.stopServices()) }()
			return d.run(cmd)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".agentidp", "where the private services, the master key and operator.json are kept")
	return cmd
}

// dev is one run of the dev command.
type dev struct {
	*cli
	dir      string
	out      io.Writer
	services *devservices.Services // nil with the user's own
	alone    bool                  // the database is private: nobody else serves from it
}

func (d *dev) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	if err := d.startServices(ctx); err != nil {
		return err
	}
	settings, err := d.Config()
	if err != nil {
		return err
	}
	d.say("bringing the schema up to date")
	if _, err := stores.Migrate(ctx, settings); err != nil {
		return err
	}
	if d.alone { // it may be on another port than the last time
		if _, err := upkeep.AdoptSettings(ctx, settings); err != nil {
			return err
		}
	}
	operator, err := d.bootstrap(ctx, settings)
	if err != nil {
		return err
	}
	if err := d.completeEnv(settings); err != nil {
		return err
	}
	logger := command.NewLogger(cmd, settings)
	if !d.given("LOG_LEVEL") {
		logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	started, err := server.Start(ctx, settings, command.Version(), logger)
	if err != nil {
		return err
	}
	d.welcome(settings, operator, started.MetricsAddress())
	err = started.Run(ctx)
	d.say("stopped; the data is kept in " + d.dir)
	return err
}

// startServices adds to the environment what the user has not set.
func (d *dev) startServices(ctx context.Context) error {
	if !d.given("DATABASE_URL") || !d.given("REDIS_URL") {
		services, err := devservices.Start(ctx, devservices.Options{Dir: d.dir, Progress: d.say})
		if err != nil {
			return err
		}
		d.services, d.alone = services, !d.given("DATABASE_URL")
		d.byDefault("DATABASE_URL", services.DatabaseURL)
		d.byDefault("MIGRATE_DATABASE_URL", services.OwnerDatabaseURL)
		d.byDefault("REDIS_URL", services.RedisURL)
	}
	d.byDefault("MASTER_KEY_FILE", filepath.Join(d.dir, "master.key"))
	d.byDefault("LISTEN_HOST", "127.0.0.1")
	d.byDefault("LOG_FORMAT", config.LogText)
	return nil
}

// completeEnv adds to the file that names the services what else a command on
// this server's ledger has to know, for --env-file.
func (d *dev) completeEnv(settings config.Config) error {
	if d.services == nil {
		return nil // whoever has their own knows them
	}
	key, err := filepath.Abs(settings.MasterKeyFile)
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, envFile)
	services, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return writePrivate(path, fmt.Appendf(services, "MASTER_KEY_FILE=%s\nPORT=%d\nPUBLIC_URL=%s\n", key, settings.Port, settings.PublicURL))
}

func (d *dev) stopServices() error {
	if d.services == nil {
		return nil
	}
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return d.services.Stop(ctx)
}

func (d *dev) given(name string) bool {
	for _, setting := range d.Environ {
		if value, found := strings.CutPrefix(setting, name+"="); found && value != "" {
			return true
		}
	}
	return false
}

func (d *dev) byDefault(name, value string) {
	if !d.given(name) {
		d.Environ = append(d.Environ, name+"="+value)
	}
}

// bootstrap keeps the operator's secret for the developer; a secret that is no
// longer there is replaced by a new one.
func (d *dev) bootstrap(ctx context.Context, settings config.Config) (upkeep.Operator, error) {
	path := filepath.Join(d.dir, operatorFile)
	kept, readErr := readOperator(path)
	operator, err := upkeep.Bootstrap(ctx, settings, readErr != nil)
	if err != nil {
		return operator, err
	}
	if operator.ClientSecret == "" && kept.ClientID == operator.ClientID {
		operator.ClientSecret = kept.ClientSecret
	} else if operator.ClientSecret == "" { // the file is of another database
		if operator, err = upkeep.Bootstrap(ctx, settings, true); err != nil {
			return operator, err
		}
	}
	return operator, errors.Join(writeOperator(path, operator), d.writeNetrc(settings, operator))
}

func (d *dev) writeNetrc(settings config.Config, operator upkeep.Operator) error {
	public, err := url.Parse(settings.PublicURL)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("machine %s login %s password %s\n", public.Hostname(), operator.ClientID, operator.ClientSecret)
	return writePrivate(filepath.Join(d.dir, netrcFile), []byte(line))
}

func readOperator(path string) (upkeep.Operator, error) {
	var operator upkeep.Operator
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &operator)
	}
	if err == nil && operator.ClientSecret == "" {
		err = fs.ErrNotExist
	}
	return operator, err
}

func writeOperator(path string, operator upkeep.Operator) error {
	text, err := json.MarshalIndent(operator, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(path, append(text, '\n'))
}

// writePrivate replaces a file by one that only its owner may read.
func writePrivate(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

func (d *dev) say(line string) { fmt.Fprintln(d.out, "→", line) }

func (d *dev) welcome(settings config.Config, operator upkeep.Operator, metricsAddress string) {
	fmt.Fprintf(d.out, `
AgentIdP %s is up at %[2]s

  API reference   %[2]s/docs
  Health          %[2]s/health
  Metrics         http://%[7]s/metrics
  Operator        %[3]s, its secret is in %[4]s

Try it in another terminal. A token for the operator:

  curl -s --netrc-file %[5]s -d grant_type=client_credentials \
       -d scope='admin:orgs agents:read agents:write audit:read' %[2]s/oauth2/token

The whole journey, told step by step:

  make demo

The proof of all that has happened:

  bin/agentidp --env-file %[6]s ledger verify --live

Ctrl-C stops everything.

`, command.Version(), settings.PublicURL, operator.ClientID,
		filepath.Join(d.dir, operatorFile), filepath.Join(d.dir, netrcFile), filepath.Join(d.dir, envFile), metricsAddress)
}
