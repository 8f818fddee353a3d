package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/internal/command"
	"github.com/sentryagent/agentidp/internal/config"
)

func (c *cli) healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server on this machine whether it is well, for containers",
		Long: `Ask the server on this machine, at LISTEN_HOST and PORT, whether it is well.
Exits with 0 when it is, also when it is degraded, and with 1 when it is not.`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.healthcheck(cmd.Context()) },
	}
}

// healthcheck needs no more of the configuration than where to ask: it runs
// every few seconds, also where the rest is not readable.
func (c *cli) healthcheck(ctx context.Context) error {
	const patience = 3 * time.Second
	address, err := config.LocalAddress(c.Environ, c.File)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	url := "http://" + address + "/health"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no server answers at %s", url)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server at %s is not well: status %d", url, response.StatusCode)
	}
	return nil
}
