package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"code.dny.dev/ssrf"
)

const (
	// Patience bounds one call in all.
	Patience = 5 * time.Second
	// MaxBody bounds what is read of an answer, in bytes.
	MaxBody = 1 << 20

	maxHeader = 64 << 10
)

var (
	// ErrForbidden: the URL, or the address that its host resolves to, may not be called.
	ErrForbidden = errors.New("not allowed")
	// ErrTooLarge: the answer is larger than [MaxBody].
	ErrTooLarge = errors.New("the answer is larger than 1 MiB")
	// ErrSlow: the call took longer than [Patience].
	ErrSlow = errors.New("no whole answer within 5 seconds")
)

// StatusError: there was an answer, and it was not 200. Redirects are among those.
type StatusError struct{ Status int }

func (e *StatusError) Error() string {
	if e.Status >= http.StatusMultipleChoices && e.Status < http.StatusBadRequest {
		return fmt.Sprintf("it answered %d, and redirects are not followed", e.Status)
	}
	return fmt.Sprintf("it answered %d, not 200", e.Status)
}

// Options are what an operator decides.
type Options struct {
	// Allow opens ranges that are closed otherwise.
	Allow []netip.Prefix
	// Roots are whose certificates are trusted. Nil: the system's.
	Roots *x509.CertPool
}

// azureMetadata is a public address that means the host's own services inside of Azure.
var azureMetadata = netip.MustParsePrefix("168.63.129.16/32")

// Client calls guarded. It is safe for concurrent use.
type Client struct {
	http     *http.Client
	guardian *ssrf.Guardian
}

// New makes a client.
func New(options Options) *Client {
	var allow4, allow6 []netip.Prefix
	for _, prefix := range options.Allow {
		if prefix.Addr().Is4() {
			allow4 = append(allow4, prefix)
		} else {
			allow6 = append(allow6, prefix)
		}
	}
	guardian := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(allow4...), ssrf.WithAllowedV6Prefixes(allow6...),
		ssrf.WithDeniedV4Prefixes(azureMetadata))
	dialer := &net.Dialer{Timeout: Patience, Control: guardian.Safe}
	return &Client{guardian: guardian, http: &http.Client{
		Timeout:       Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would connect in our place, unchecked
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: options.Roots},
			TLSHandshakeTimeout:    Patience,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
			DisableKeepAlives:      true, // so that each call is checked anew
		},
	}}
}

// Get fetches the body of an answer that is 200. The error says what went wrong and
// never repeats the URL, whose query may hold a secret.
func (c *Client) Get(ctx context.Context, rawURL, accept string) ([]byte, error) {
	if err := c.CheckURL(rawURL); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, http.NoBody)
	if err != nil {
		return nil, refused("is not a URL")
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("User-Agent", "AgentIdP")
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, explained(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, &StatusError{answer.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxBody+1))
	switch {
	case err != nil:
		return nil, explained(err)
	case len(body) > MaxBody:
		return nil, ErrTooLarge
	}
	return body, nil
}

// explained is an error of net/http in this package's terms.
func explained(err error) error {
	if of, is := errors.AsType[*url.Error](err); is {
		if of.Timeout() {
			return ErrSlow
		}
		err = of.Err
	}
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrInvalidHostPort):
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	case errors.Is(err, context.DeadlineExceeded):
		return ErrSlow
	}
	if of, is := errors.AsType[net.Error](err); is && of.Timeout() {
		return ErrSlow
	}
	return err
}
