package domain

import (
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// validateText checks the length, in characters, of text that may have several lines.
func validateText(field, s string, least, most int) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, isForbidden) {
		return Invalid(field, "must be text without control characters", nil)
	}
	if n := utf8.RuneCountInString(s); n < least || n > most {
		return Invalid(field, "has a length out of bounds", map[string]int{"minLength": least, "maxLength": most})
	}
	return nil
}

// validateLine is validateText for what goes into lists and headings: one
// line, and not blank unless it may be empty.
func validateLine(field, s string, least, most int) error {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return Invalid(field, "must be one line without control characters", nil)
	}
	if least > 0 && strings.TrimSpace(s) == "" {
		return Invalid(field, "must not be blank", map[string]int{"minLength": least, "maxLength": most})
	}
	return validateText(field, s, least, most)
}

func isForbidden(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }

func validateOneOf[T ~string](field string, value T, allowed ...T) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	words := make([]string, len(allowed))
	for i, word := range allowed {
		words[i] = string(word)
	}
	return Invalid(field, "must be one of "+strings.Join(words, ", "), words)
}

// validateEmail refuses invisible characters too: two addresses that look the
// same are the same.
func validateEmail(email string) error {
	invisible := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(email) <= maxEmailLength && !strings.ContainsFunc(email, invisible) {
		if address, err := mail.ParseAddress(email); err == nil && address.Address == email {
			return nil
		}
	}
	return Invalid("email", "must be a plain e-mail address", maxEmailLength)
}
