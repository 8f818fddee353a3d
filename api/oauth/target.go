package oauth

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// target is the audience that a token is asked for, by resource (RFC 8707) or
// by audience (RFC 8693 section 2.1), which mean the same here. Without either
// it is this server's own. A target comes back letter for letter as it was
// sent: that is what the resource server compares it with.
func (h *Handler) target(form url.Values) (string, error) {
	asked := slices.Compact(append(slices.Compact(slices.Clone(form["resource"])), slices.Compact(slices.Clone(form["audience"]))...))
	switch {
	case len(asked) == 0:
		return h.Audience, nil
	case len(asked) > 1 && form.Has("resource") && form.Has("audience"):
		return "", oauthError("invalid_target", "resource and audience name different targets: a token is for one, so ask for one")
	case len(asked) > 1:
		return "", oauthError("invalid_target", "a token is for one target: ask for a token for each of them")
	case h.Guard.IsOurs(asked[0]):
		return asked[0], nil
	}
	return asked[0], checkTarget(asked[0])
}

// checkTarget keeps to what names a resource server without doubt. An empty
// fragment and a user are parts of a URL that two programs compare differently.
func checkTarget(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return oauthError("invalid_target", "resource and audience must be ASCII without spaces: encode what is not")
	}
	if strings.Contains(text, "#") {
		return oauthError("invalid_target", "resource and audience must have no fragment, not even an empty one") // RFC 8707 section 2
	}
	target, err := url.Parse(text)
	if err != nil || !target.IsAbs() {
		return oauthError("invalid_target", "resource and audience must be absolute URIs, such as https://api.example.com")
	}
	switch {
	case target.User != nil:
		return oauthError("invalid_target", "resource and audience must name no user")
	case target.Scheme == "urn" && strings.Count(target.Opaque, ":") > 0 && !strings.HasPrefix(target.Opaque, ":") && !strings.HasSuffix(target.Opaque, ":"):
		return nil
	case target.Scheme == "https" && target.Hostname() != "":
		return nil
	case target.Scheme == "http" && isLoopback(target.Hostname()):
		return nil
	}
	return oauthError("invalid_target", "resource and audience must be https with a host, or urn:name:rest; http is for loopback alone")
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
