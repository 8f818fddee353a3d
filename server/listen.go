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

// listen binds the ports; the API's may come from the door.
func (h *front) listen(ctx context.Context, f frame, d *door) (err error) {
	if h.listener = d.handOver(); h.listener == nil {
		if h.listener, err = listen(ctx, f.config.ListenHost, f.config.Port); err != nil {
			return orTaken(err, f.config.Port, "PORT")
		}
	}
	if h.metrics != nil {
		h.gauges, err = listenForMetrics(ctx, f.config, f.logger)
	}
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
func (s *Server) Address() string { return s.http.listener.Addr().String() }

// MetricsAddress is where /metrics is served.
func (s *Server) MetricsAddress() string {
	if s.http.gauges == nil {
		return s.Address()
	}
	return s.http.gauges.Addr().String()
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

// warnOfOpenRanges: whoever may name a URL that the server calls reaches what is in these ranges by it.
func warnOfOpenRanges(logger *slog.Logger, open []netip.Prefix) {
	for _, prefix := range open {
		logger.Warn("OUTBOUND_ALLOW opens a range of addresses to calls of URLs that come in by the API; name no more than is needed", "range", prefix.String())
	}
}
