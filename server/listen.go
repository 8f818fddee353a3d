package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/sentryagent/agentidp/internal/config"
)

func (a *App) listen(ctx context.Context) (err error) {
	if a.listener = a.door.handOver(); a.listener == nil {
		if a.listener, err = listen(ctx, a.config.ListenHost, a.config.Port); err != nil {
			return orTaken(err, a.config.Port, "PORT")
		}
	}
	if a.config.MetricsPort == 0 {
		return nil
	}
	a.metrics, err = listenForMetrics(ctx, a.config, a.logger)
	return err
}

// listenForMetrics takes a free port where the default one is taken: servers that share a machine need not each be
// given a port that nobody asked for. A port that somebody chose is that port or an error.
func listenForMetrics(ctx context.Context, c config.Config, logger *slog.Logger) (net.Listener, error) {
	listener, err := listen(ctx, c.MetricsHost, c.MetricsPort)
	if !errors.Is(err, syscall.EADDRINUSE) || c.MetricsPortSet {
		return listener, orTaken(err, c.MetricsPort, "METRICS_PORT")
	}
	if listener, err = listen(ctx, c.MetricsHost, 0); err == nil {
		logger.WarnContext(ctx, "the port of /metrics is taken by another program, so another one serves them; set METRICS_PORT to choose it",
			"taken", c.MetricsPort, "address", listener.Addr().String())
	}
	return listener, err
}

func listen(ctx context.Context, host string, port int) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}

func orTaken(err error, port int, variable string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is taken by another program: stop it or set %s to another port", port, variable)
	}
	return err
}

// Address is where the API listens.
func (a *App) Address() string { return a.listener.Addr().String() }

// MetricsAddress is where /metrics is served.
func (a *App) MetricsAddress() string {
	if a.metrics == nil {
		return a.Address()
	}
	return a.metrics.Addr().String()
}

// warnOfWideProxies: a trusted proxy writes the addresses of the audit trail and of the rate limits. A range as wide as
// a cluster's network holds the very callers that are to be told apart.
func warnOfWideProxies(logger *slog.Logger, trusted []netip.Prefix) {
	const widest4, widest6 = 16, 48
	for _, prefix := range trusted {
		widest := widest6
		if prefix.Addr().Is4() {
			widest = widest4
		}
		if prefix.Bits() < widest {
			logger.Warn("TRUSTED_PROXIES trusts a wide range: everybody in it can write any address into the audit trail and evade the limits of addresses; "+
				"name the proxies alone", "range", prefix.String())
		}
	}
}
