package jobs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Certificates that end sooner than this are a fault: somebody has to act.
const certificateNotice = 7 * 24 * time.Hour

// CheckTLS looks whether the server is reached by TLS alone: that its public
// URL is https, and that who answers there has a certificate that holds, for
// some time yet. Roots are the authorities to trust; nil are the machine's.
func CheckTLS(interval time.Duration, publicURL string, roots *x509.CertPool, now func() time.Time) Job {
	return Job{Name: TLSCheck, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		public, err := url.Parse(publicURL)
		if err != nil {
			return Result{}, errors.New("the public URL cannot be read")
		}
		if public.Scheme != "https" {
			return Result{Failed: true, Expected: true, Detail: "PUBLIC_URL is plain http"}, nil
		}
		state, err := handshake(ctx, public, roots, now)
		if fault, refused := tlsFault(err); refused {
			return Result{Failed: true, Detail: fault}, nil
		}
		if err != nil {
			return Result{}, err
		}
		ends := state.PeerCertificates[0].NotAfter.UTC()
		if now().Add(certificateNotice).After(ends) {
			return Result{Failed: true, Detail: "the certificate ends at " + ends.Format(time.RFC3339)}, nil
		}
		return Result{Detail: fmt.Sprintf("%s, certificate until %s", tls.VersionName(state.Version), ends.Format(time.RFC3339))}, nil
	}}
}

func handshake(ctx context.Context, public *url.URL, roots *x509.CertPool, now func() time.Time) (state tls.ConnectionState, err error) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	port := public.Port()
	if port == "" {
		port = "443"
	}
	dialer := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Time: now, ServerName: public.Hostname()}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(public.Hostname(), port))
	if err != nil {
		return state, fmt.Errorf("reach %s: %w", public.Host, err)
	}
	defer conn.Close()
	if secure, ok := conn.(*tls.Conn); ok {
		state = secure.ConnectionState()
	}
	return state, nil
}

// tlsFault tells what is wrong with TLS from what is wrong with the way there.
func tlsFault(err error) (fault string, refused bool) {
	var certificate *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.As(err, &certificate):
		return "the certificate does not hold: " + certificate.Err.Error(), true
	case errors.As(err, &plain):
		return "what answers does not speak TLS", true
	case errors.As(err, &alert) && alert.Op == "remote error": // what crypto/tls calls an alert
		return "no handshake with TLS 1.2 or newer: " + alert.Err.Error(), true
	}
	return "", false
}
