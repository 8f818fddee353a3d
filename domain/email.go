package domain

import (
	"net/mail"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// hostNames turns names of hosts into what the DNS has of them (RFC 5891, UTS 46).
var hostNames = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(false))

// validateEmail refuses what only looks like another address: characters that
// are not seen, that are another character in other clothes, or that mix the
// scripts of two alphabets.
func validateEmail(email string) error {
	invalid := func(why string) error { return Invalid("email", why, maxEmailLength) }
	if len(email) > maxEmailLength || strings.ContainsFunc(email, func(r rune) bool { return !unicode.IsPrint(r) || isInvisible(r) }) {
		return invalid("must be a plain e-mail address without invisible characters")
	}
	if address, err := mail.ParseAddress(email); err != nil || address.Address != email {
		return invalid("must be a plain e-mail address")
	}
	local, host := splitEmail(email)
	if !isOneScript(local) {
		return invalid("must have a local part of one script, such as Latin letters alone: letters of several can look like another address")
	}
	name, err := hostNames.ToASCII(host)
	if err != nil {
		return invalid("must have a domain that is a valid internationalized domain name (IDNA)")
	}
	shown, err := hostNames.ToUnicode(name)
	if err != nil || slices.ContainsFunc(strings.Split(shown, "."), isMixed) {
		return invalid("must have a domain whose labels are of one script each: letters of several can look like another domain")
	}
	return nil
}

// EmailForm is the one form in which addresses are compared: neither letter
// case, nor the way accents are composed, nor the spelling of an
// internationalized domain tells two apart.
func EmailForm(email string) string {
	local, host := splitEmail(email)
	if name, err := hostNames.ToASCII(host); err == nil {
		host = name
	}
	return fold(local) + "@" + strings.ToLower(host)
}

// fold is the canonical caseless form (Unicode 3.13, D145).
func fold(s string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(s)))
}

func splitEmail(email string) (local, host string) {
	at := strings.LastIndexByte(email, '@')
	return email[:max(at, 0)], email[at+1:]
}

func isMixed(s string) bool { return !isOneScript(s) }

// isOneScript: all letters are of one script, or of those that one language
// writes together (UTS 39 section 5.1), and none is a compatibility character,
// which looks like another that is meant to be used.
func isOneScript(s string) bool {
	s = norm.NFC.String(s)
	if isASCII(s) {
		return true
	}
	if norm.NFKC.String(s) != s {
		return false
	}
	for _, writing := range writings {
		if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.In(r, writing...) }) {
			return true
		}
	}
	return false
}

// writings are the sets of scripts that may stand together, each with what is
// of no script: digits, punctuation and marks.
var writings = func() (all [][]*unicode.RangeTable) {
	ofNone := []*unicode.RangeTable{unicode.Common, unicode.Inherited}
	for _, script := range unicode.Scripts {
		all = append(all, append([]*unicode.RangeTable{script}, ofNone...))
	}
	for _, together := range [][]*unicode.RangeTable{
		{unicode.Han, unicode.Hiragana, unicode.Katakana}, {unicode.Han, unicode.Bopomofo}, {unicode.Han, unicode.Hangul},
	} {
		all = append(all, append(together, ofNone...))
	}
	return all
}()

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}
