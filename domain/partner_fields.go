package domain

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

const (
	maxURLLength             = 2048
	maxAllowedOrganizations  = 256
	maxForeignOrganizationID = 256
)

// validateHTTPS takes absolute https URLs with a host, in visible ASCII, without a
// user and a fragment.
func validateHTTPS(field, text string) error {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURLLength:
		return Invalid(field, "is too long", maxURLLength)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return Invalid(field, "must be in visible ASCII characters", nil)
	case err != nil || u.Scheme != "https" || u.Hostname() == "":
		return Invalid(field, "must be a URL that begins with https:// and names a host", nil)
	case u.User != nil || strings.Contains(text, "#"):
		return Invalid(field, "must have no user, password and fragment", nil)
	}
	return nil
}

// validatePartnerIssuer takes what an issuer may be (RFC 8414 section 2: https, no
// query, no fragment), and nothing that could be taken for one of our own names:
// none of those, nothing that one of them begins with, and nothing that begins with
// one of them.
func validatePartnerIssuer(issuer string, ours []string) error {
	if err := validateHTTPS("issuer", issuer); err != nil {
		return err
	}
	if strings.Contains(issuer, "?") {
		return Invalid("issuer", "must have no query", nil)
	}
	theirs := issuerForm(issuer)
	for _, name := range ours {
		if own := issuerForm(name); strings.HasPrefix(theirs, own) || strings.HasPrefix(own, theirs) {
			return Invalid("issuer", "is a name of this server, or could be taken for one: a partner is somebody else", nil)
		}
	}
	return nil
}

// issuerForm is what two URLs have in common that lead to the same place, as far as
// scheme, host and the end of the path go. It is for looking alike: whether a token
// is of an issuer is decided byte by byte.
func issuerForm(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if port := u.Port(); port != "" && port != map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		host += ":" + port
	}
	return strings.TrimRight(strings.ToLower(u.Scheme)+"://"+host+u.Path, "/")
}

// validateAllowedOrganizations takes names that are the partner's, not ours: what
// they look like is its affair.
func validateAllowedOrganizations(organizations []string) error {
	const field = "allowedOrganizations"
	if len(organizations) > maxAllowedOrganizations {
		return Invalid(field, "has too many entries", maxAllowedOrganizations)
	}
	for i, organization := range organizations {
		err := validateLine(field, organization, 1, maxForeignOrganizationID)
		if slices.Contains(organizations[:i], organization) {
			err = Invalid(field, "names something twice", nil)
		}
		if refusal, refused := errors.AsType[*Error](err); refused {
			return refusal.With("index", i)
		}
	}
	return nil
}
