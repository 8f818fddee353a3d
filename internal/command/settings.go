package command

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/config"
)

// Settings is where the settings of a program come from: its environment, and a file
// that --env-file names.
type Settings struct {
	Environ []string
	File    string
}

// Accept gives a program the flag --env-file, and its errors their form.
func (s *Settings) Accept(root *cobra.Command) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Args = NoArguments
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return s.fileIsThere(cmd) }
	root.PersistentFlags().StringVar(&s.File, "env-file", ".env", "file with settings, one NAME=value a line")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
}

// fileIsThere refuses a file of settings that was named and does not exist. The default one need not exist.
func (s *Settings) fileIsThere(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("env-file") {
		return nil
	}
	if _, err := os.Stat(s.File); err != nil {
		return Usage(fmt.Errorf("--env-file: %w", err))
	}
	return nil
}

// Config is the configuration of a server.
func (s *Settings) Config() (config.Config, error) { return config.Load(s.Environ, s.File) }

// NewLogger logs to standard error, as configured.
func NewLogger(cmd *cobra.Command, c config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == config.LogText {
		return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), options))
	}
	return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), options))
}
