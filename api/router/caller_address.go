package router

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// forwardedFor is the one header whose word about a caller's address counts, and only from a trusted proxy. The others
// are passed on by many proxies as the caller wrote them.
const forwardedFor = "X-Forwarded-For"

// signsOfForwarding are headers that a request has only when somebody passed it on.
var signsOfForwarding = []string{forwardedFor, "Forwarded", "Via", "X-Real-Ip", "X-Forwarded-Host", "X-Forwarded-Proto"}

// Address is where a request comes from; invalid when it cannot be told.
type Address struct {
	netip.Addr
	// Certain: the address is that of whoever made the request. It is not when somebody passed the request on who is
	// not trusted to say for whom, or did not say; then the address is the one that passed it on.
	Certain bool
}

// addressOf is the only judge of a caller's address: the nearest hop that is not a trusted proxy. Hops are read from the
// right, since everything to the left of the first untrusted one is whatever that one cared to write.
func addressOf(r *http.Request, proxies []netip.Prefix) Address {
	peer, ok := addressIn(r.RemoteAddr)
	if !ok {
		return Address{}
	}
	last := Address{peer, !isForwarded(r.Header)}
	if !Within(peer, proxies) {
		return last
	}
	for _, line := range slices.Backward(r.Header[forwardedFor]) {
		for line != "" {
			var hop string
			if at := strings.LastIndexByte(line, ','); at >= 0 {
				line, hop = line[:at], line[at+1:]
			} else {
				line, hop = "", line
			}
			if hop = strings.TrimSpace(hop); hop == "" {
				continue // an empty element of a list means nothing (RFC 9110 section 5.6.1)
			}
			address, ok := addressIn(hop)
			if !ok { // "unknown", or not what a proxy of ours writes
				return Address{last.Addr, false}
			}
			last = Address{address, true}
			if !Within(address, proxies) {
				return last
			}
		}
	}
	return last
}

// Within reports whether an address is in one of the networks.
func Within(address netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(address) })
}

func isForwarded(header http.Header) bool {
	return slices.ContainsFunc(signsOfForwarding, func(name string) bool { return len(header[name]) > 0 })
}

// addressIn reads an address as connections and proxies write it: alone, with a port, with or without brackets.
// An IPv4 address in IPv6 form is the IPv4 address: it must not get a second rate limit under a second name.
func addressIn(text string) (netip.Addr, bool) {
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		address = withPort.Addr()
	}
	return address.Unmap().WithZone(""), err == nil
}

// warnOfProxy says once that somebody passes requests on whom this server does not trust to say for whom: then every
// caller behind it has one address in the audit trail and in the limits.
func (r *Router) warnOfProxy(c *gin.Context) {
	if len(r.options.TrustedProxies) > 0 || len(c.Request.Header[forwardedFor]) == 0 {
		return
	}
	r.proxyWarning.Do(func() {
		r.options.Logger.WarnContext(c.Request.Context(), "a request carries X-Forwarded-For, but TRUSTED_PROXIES names no proxy: "+
			"callers behind one share its address in the audit trail and in rate limits; set TRUSTED_PROXIES to the proxy's address",
			"from", CallerAddress(c).String())
	})
}
