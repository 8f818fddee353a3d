package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/server/keys"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func (c *cli) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "See to the keys that tokens are signed with",
		Long: `See to the keys that tokens are signed with, beside running servers, which hear
of a change within seconds. docs/runbooks/signing-keys.md says when to do what.

A key is published in /.well-known/jwks.json, signs when every server has had it
there for SIGNING_KEY_LEAD_SECONDS, is retired when another takes its place, and
is destroyed 25 hours later.

Exit code 0: done. 1: refused. 2: it could not be tried.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.keysListCommand(), c.keysRotateCommand(), c.keysRetireCommand(), c.keysImportCommand())
	return cmd
}

func (c *cli) keysListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the keys, and what happens to each next",
		Args:  command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withKeys(cmd, func(k *upkeep.SigningKeys) error {
				listed, err := k.List(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), struct {
						Keys []keyJSON `json:"keys"`
					}{jsonOf(listed)})
				}
				return printKeys(cmd.OutOrStdout(), listed)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// keyJSON is a key as --json shows it.
type keyJSON struct {
	KeyID      string                 `json:"kid"`
	Algorithm  string                 `json:"alg"`
	State      domain.SigningKeyState `json:"state"`
	Since      time.Time              `json:"since"`
	NextStep   string                 `json:"nextStep"`
	NextAt     *time.Time             `json:"nextAt"` // null where nobody knows yet, or nothing happens by itself
	VerifyOnly bool                   `json:"verifyOnly"`
}

func jsonOf(listed []keys.Listed) []keyJSON {
	all := make([]keyJSON, len(listed))
	for i, key := range listed {
		all[i] = keyJSON{key.KeyID, key.Algorithm, key.State, key.Since.UTC(), key.Next, nil, key.VerifyOnly}
		if !key.NextAt.IsZero() {
			at := key.NextAt.UTC()
			all[i].NextAt = &at
		}
	}
	return all
}

func printKeys(w io.Writer, listed []keys.Listed) error {
	const gap = 2
	table := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	fmt.Fprintln(table, "KID\tALG\tSTATE\tSINCE\tNEXT STEP")
	for _, key := range listed {
		next := key.Next
		if !key.NextAt.IsZero() {
			next += " at " + key.NextAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", key.KeyID, key.Algorithm, key.State, key.Since.UTC().Format(time.RFC3339), next)
	}
	return table.Flush()
}

func (c *cli) keysRotateCommand() *cobra.Command {
	var alg string
	var now bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Publish another key, which takes the place of the current one when its lead is over",
		Long: `Publish another key, which takes the place of the current one of its algorithm when
every server has had it in its JWKS for SIGNING_KEY_LEAD_SECONDS. It is refused
within five minutes of the key before, and while a key of the algorithm waits.

--now has it sign at once, or the one that waits. The old key still verifies; but
clients that keep keys refuse the new tokens until they look again.

Exit code 0: done. 1: refused. 2: it could not be tried.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if alg != "" && !slices.Contains(keyring.Algorithms(), alg) {
				return command.Usage(fmt.Errorf("--alg must be one of %s", strings.Join(keyring.Algorithms(), ", ")))
			}
			return c.withKeys(cmd, func(k *upkeep.SigningKeys) error {
				if alg == "" {
					alg = k.Algorithm
				}
				kid, err := k.Rotate(cmd.Context(), alg, now)
				if err != nil {
					return err
				}
				if now {
					fmt.Fprintf(cmd.OutOrStdout(), "%s is the current %s key now\n", kid, alg)
					return warnOfUnknown(cmd, k, "refuse its tokens")
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is published; it signs %s after every server serves it\n", kid, k.Timing.Lead)
				return warnOfUnknown(cmd, k, "keep it from signing until they are stopped")
			})
		},
	}
	cmd.Flags().StringVar(&alg, "alg", "", "RS256 or ES256; JWT_SIGNING_ALG if left out")
	cmd.Flags().BoolVar(&now, "now", false, "sign with it at once")
	return cmd
}

func (c *cli) keysRetireCommand() *cobra.Command {
	var atOnce bool
	cmd := &cobra.Command{
		Use:   "retire KID",
		Short: "Have a key sign no more",
		Long: `Have a key sign no more. What it has signed verifies for 25 hours, then it is
destroyed. The key that tokens are signed with is not retired without another in
its place: rotate first.

--at-once is for a key that may be in other hands. Every token that it has signed
ends now, on every server, and the key is destroyed; if tokens were signed with
it, another key signs from now on. Who verifies tokens by itself goes on accepting
them until it reads /.well-known/jwks.json again, which some do not do for hours:
have those ask /oauth2/introspect.

Exit code 0: done. 1: refused. 2: it could not be tried.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return command.Usage(errors.New("name one key: agentidp keys list shows them"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withKeys(cmd, func(k *upkeep.SigningKeys) error {
				successor, err := k.Retire(cmd.Context(), args[0], atOnce)
				if err != nil {
					return err
				}
				if successor != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "%s is the current key now\n", successor)
				}
				if !atOnce {
					fmt.Fprintf(cmd.OutOrStdout(), "%s is retired; it verifies for %s after that\n", args[0], domain.KeyVerifiesFor)
					return nil
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is destroyed, and its tokens have ended\n", args[0])
				return warnOfUnknown(cmd, k, "accept its tokens")
			})
		},
	}
	cmd.Flags().BoolVar(&atOnce, "at-once", false, "end its tokens now, and destroy it")
	return cmd
}

// warnOfUnknown tells of servers of a version that hears of no changes of keys.
func warnOfUnknown(cmd *cobra.Command, k *upkeep.SigningKeys, what string) error {
	servers, err := k.Servers(cmd.Context())
	if err == nil && servers.Unknown > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d servers of an older version seem to run: they hear of no changes of keys, and %s.\n", servers.Unknown, what)
	}
	return err
}

func (c *cli) keysImportCommand() *cobra.Command {
	var private, public string
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Publish a key that was made elsewhere",
		Long: `Publish a key that was made elsewhere, as PEM or as a JWK: RSA of 2048 bits or more
signs with RS256, EC on P-256 with ES256. It takes the place of the current key of
its algorithm as after agentidp keys rotate. A public key alone only verifies,
until it is retired.

Without flags the key is read from JWT_PRIVATE_KEY and JWT_PUBLIC_KEY, of which one
may be left out; line ends may be written there as \n. The key goes by its RFC 7638
thumbprint, whatever kid it had elsewhere.

Exit code 0: done. 1: refused. 2: it could not be tried.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			halves, err := c.halves(private, public)
			if err != nil {
				return err
			}
			key, err := keyring.Import(halves[0], halves[1])
			if err != nil {
				return err // refused, whatever the servers have
			}
			return c.withKeys(cmd, func(k *upkeep.SigningKeys) error {
				if err := k.Import(cmd.Context(), key); err != nil {
					return err
				}
				if key.VerifyOnly() {
					fmt.Fprintf(cmd.OutOrStdout(), "%s is published; it only verifies %s\n", key.ID(), key.Algorithm())
					return nil
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s is published; it signs %s %s after every server serves it\n", key.ID(), key.Algorithm(), k.Timing.Lead)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&private, "private", "", "file with the private key")
	cmd.Flags().StringVar(&public, "public", "", "file with the public key")
	return cmd
}

// halves reads the private and the public half of a key, from files or the environment.
func (c *cli) halves(private, public string) (halves [2][]byte, err error) {
	if private == "" && public == "" {
		for i, name := range []string{"JWT_PRIVATE_KEY", "JWT_PUBLIC_KEY"} {
			text, err := config.Variable(c.Environ, c.File, name)
			if err != nil {
				return halves, err
			}
			halves[i] = []byte(text)
		}
		if len(halves[0])+len(halves[1]) == 0 {
			return halves, command.Usage(errors.New("name a file by --private or --public, or set JWT_PRIVATE_KEY or JWT_PUBLIC_KEY"))
		}
		return halves, nil
	}
	for i, path := range []string{private, public} {
		if path == "" {
			continue
		}
		if halves[i], err = readSmall(path); err != nil {
			return halves, command.Unchecked(err)
		}
	}
	return halves, nil
}

// readSmall reads a file that is no larger than any key.
func readSmall(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, keyring.MostImported+1))
}

// withKeys opens the signing keys for a command. A refusal is an answer; whatever else
// goes wrong means that it could not be tried.
func (c *cli) withKeys(cmd *cobra.Command, do func(*upkeep.SigningKeys) error) error {
	settings, err := c.Config()
	if err != nil {
		return err
	}
	k, err := upkeep.OpenSigningKeys(cmd.Context(), settings)
	if err != nil {
		return command.Unchecked(err)
	}
	defer k.Close()
	err = do(k)
	if refused, ok := errors.AsType[*domain.Error](err); ok {
		return errors.New(refused.Message)
	}
	return command.Unchecked(err)
}
