package domain

import (
	"slices"
	"testing"
)

func TestAddressesThatLookLikeOthersAreRefused(t *testing.T) {
	t.Parallel()
	for _, email := range []string{
		"operat\u043er@acme.test",         // Cyrillic o among Latin letters
		"\u0430cme1a@acme.test",           // Cyrillic a before Latin letters
		"\u03b1gent@acme.test",            // Greek alpha
		"ro\u200dbot@acme.test",           // zero width joiner
		"ro\u00adbot@acme.test",           // soft hyphen
		"ro\u202ebot@acme.test",           // right-to-left override
		"robot\u2066@acme.test",           // isolate
		"ro\ufe0fbot@acme.test",           // variation selector
		"ro\u034fbot@acme.test",           // combining grapheme joiner
		"ro\u3164bot@acme.test",           // Hangul filler
		"\uff52obot@acme.test",            // fullwidth r
		"\U0001d42bobot@acme.test",        // mathematical bold r
		"robot@\u0430cme.test",            // Cyrillic a in the domain
		"robot@xn--cme-7cd.test",          // the same, as the DNS has it
		"robot@acme.\u03bdet",             // Greek nu in the top level
		"robot@xn--\u0430.test",           // no A-label
		"robot@a\u200bcme.test",           // zero width space in the domain
		"\u0e01\u05d0@acme.test",          // Thai and Hebrew
		"robot@\u05d0a.test",              // breaks the rule for bidirectional labels
		"\u30ed\u0440@xn--acme.test",      // Katakana and Cyrillic
		"r\u00f6bot\u0456@acme.test",      // Latin and Ukrainian i
		"robot@\u0440\u0430y.acme.test",   // in one label of several
		"\u0391gent.\u0391@acme.test",     // Greek capital alphas that look Latin
		"\u216bagent@acme.test",           // Roman numeral twelve
		"robot\u2028@acme.test",           // line separator
		"robot@acme.test\u200e",           // left-to-right mark
		"\u2800robot@acme.test\u2800",     // no address
		"robot\u1160@acme.test",           // Hangul jungseong filler
		"robot@\u0455ystem.acme.test",     // Cyrillic dze
		"\u13aagent@acme.test",            // Cherokee
		"robot@acme\u3002te\u0455t",       // mixed after an ideographic full stop
		"a\u0336\U000e0041gent@acme.test", // tag character
	} {
		if err := validateEmail(email); err == nil {
			t.Errorf("%+q is accepted", email)
		}
	}
}

func TestAddressesOfOneScriptAreAccepted(t *testing.T) {
	t.Parallel()
	for _, email := range []string{
		"robot@acme.test", "robot+1@acme.test", "r_o-b.o't@a_c-me.test", "r\u00f4bot@acme.test", "r\u0061\u0302bot@acme.test",
		"\u0440\u043e\u0431\u043e\u0442-7@acme.test", "\u03c1\u03bf\u03bc\u03c0\u03cc\u03c4@acme.test", "\u30ed\u30dc\u30c3\u30c8\u6f22\u5b57\u3072@acme.test",
		"\u673a\u5668\u4eba1@acme.test", "\ub85c\ubd07@acme.test", "\u05e8\u05d5\u05d1\u05d5\u05d8@acme.test", "\u0631\u0648\u0628\u0648\u062a@acme.test",
		"robot@m\u00fcnchen.test", "robot@xn--mnchen-3ya.test", "robot@\u4f8b\u5b50.test", "robot@\u0440\u0444.test", "ROBOT@ACME.TEST", "robot@127.0.0.1.test", "42@acme.test",
	} {
		if err := validateEmail(email); err != nil {
			t.Errorf("%+q: %v", email, err)
		}
	}
}

func TestOneFormForAllSpellingsOfAnAddress(t *testing.T) {
	t.Parallel()
	for want, spellings := range map[string][]string{
		"robot@acme.test":              {"Robot@ACME.test", "ROBOT@acme.TEST"},
		"caf\u00e9@acme.test":          {"cafe\u0301@acme.test", "CAFE\u0301@acme.test", "CAF\u00c9@acme.test"},
		"strasse@acme.test":            {"stra\u00dfe@acme.test", "STRASSE@acme.test", "STRA\u1e9eE@acme.test"},
		"\u03c3\u03c3@acme.test":       {"\u03a3\u03a3@acme.test", "\u03c3\u03c2@acme.test"},
		"robot@xn--mnchen-3ya.test":    {"robot@m\u00fcnchen.test", "robot@M\u00dcNCHEN.test", "robot@mu\u0308nchen.test", "Robot@XN--mnchen-3ya.TEST"},
		"robot@xn--fsqu00a.test":       {"robot@\u4f8b\u5b50\u3002test"},
		"two.at\u00e9@acme.test":       {"two.AT\u00c9@acme.test"},
		"i\u0307stanbul@acme.test":     {"\u0130stanbul@acme.test"},
		"not an address at all@(no\\)": {"not an address at all@(no\\)"},
	} {
		for _, spelling := range append(spellings, want) {
			if got := EmailForm(spelling); got != want {
				t.Errorf("EmailForm(%+q) = %+q, want %+q", spelling, got, want)
			}
		}
	}
	for _, pair := range [][2]string{{"robot@acme.test", "robot@acme.tes"}, {"ro.bot@acme.test", "robot@acme.test"}, {"a+1@acme.test", "a@acme.test"}} {
		if EmailForm(pair[0]) == EmailForm(pair[1]) {
			t.Errorf("%s and %s are one", pair[0], pair[1])
		}
	}
}

// The names of streams are on disk.
func TestEmailClaimsAreAnOrganizationsOwn(t *testing.T) {
	t.Parallel()
	const want = "claim-email-62740c4e862ba53f5582b78d5eae42c1ebc87ff990ab5df4de4e4ffb9bfe6b40"
	for _, spelling := range []string{"robot@acme.test", "Robot@ACME.test"} {
		if got := EmailClaimStream(acme, spelling); got != want {
			t.Errorf("EmailClaimStream(acme, %s) = %s, want %s", spelling, got, want)
		}
	}
	other := acme
	other.UUID[0] ^= 1
	if got := EmailClaimStream(other, "robot@acme.test"); got == want || got == ClaimStream(ClaimEmail, "robot@acme.test") {
		t.Errorf("another organization's claim is on %s", got)
	}
	if got := FormerEmailClaimStreams("Robot@acme.test"); !slices.Equal(got, []string{ClaimStream(ClaimEmail, "robot@acme.test")}) {
		t.Errorf("former claims of a plain address: %q", got)
	}
	former := FormerEmailClaimStreams("caf\u00e9@m\u00fcnchen.test")
	for _, spelling := range []string{"caf\u00e9@m\u00fcnchen.test", "Cafe\u0301@M\u00dcnchen.test", "caf\u00e9@xn--mnchen-3ya.test"} {
		if !slices.Contains(former, ClaimStream(ClaimEmail, spelling)) {
			t.Errorf("a former claim of %+q is not looked for", spelling)
		}
	}
}

func TestNamesHaveNoInvisibleCharacters(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a\u202eb", "a\u2066b", "a\u200bb", "a\u00adb", "\ufeffab", "a\u2028b", "a\u3164b", "a\U000e0041b", "a\u061cb"} {
		if validateLine("owner", s, 1, 100) == nil || validateText("description", s, 0, 100) == nil {
			t.Errorf("%+q is accepted", s)
		}
	}
	for _, s := range []string{"a\u200cb", "a\u200db", "\u2764\ufe0f"} {
		if validateLine("owner", s, 1, 100) == nil {
			t.Errorf("%+q is accepted as a name", s)
		}
		if err := validateText("description", s, 0, 100); err != nil {
			t.Errorf("%+q as a text: %v", s, err)
		}
	}
}
