package outbound

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// maxURL is how long a URL may be, in bytes.
const maxURL = 2048

// CheckURL reports what is wrong with a URL before anything is sent: it must be an
// absolute https URL with a host, of at most 2,048 bytes of visible ASCII, without a
// user and a fragment. A host that is an address must be one that may be called.
func (c *Client) CheckURL(raw string) error {
	if len(raw) > maxURL || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return refused("must be at most %d visible ASCII characters", maxURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return refused("is not a URL")
	case u.Scheme != "https":
		return refused("must begin with https://")
	case u.Hostname() == "":
		return refused("names no host")
	case u.User != nil:
		return refused("must not hold a user or password")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return refused("must not have a fragment")
	}
	address, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil // a name; what it resolves to is checked when it is called
	}
	return c.checkAddress(address)
}

func (c *Client) checkAddress(address netip.Addr) error {
	if err := c.guardian.SafeAddr(address); err != nil {
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return nil
}

func refused(format string, args ...any) error {
	return fmt.Errorf("the URL %s: %w", fmt.Sprintf(format, args...), ErrForbidden)
}
