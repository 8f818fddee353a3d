package outbound

import (
	"context"
	"net/http"
	"net/netip"
)

// Dial makes the connection that a call of any URL would make once its host had
// resolved to the address.
func Dial(c *Client, address netip.Addr) error {
	connection, err := c.http.Transport.(*http.Transport).DialContext(context.Background(), "tcp", netip.AddrPortFrom(address, 1).String())
	if err == nil {
		_ = connection.Close()
		return nil
	}
	return explained(err)
}
