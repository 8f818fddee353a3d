package domain

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// validateText checks the length, in characters, of text that may have several lines.
func validateText(field, s string, least, most int) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, isForbidden) {
		return Invalid(field, "must be text without control and invisible characters", nil)
	}
	if n := utf8.RuneCountInString(s); n < least || n > most {
		return Invalid(field, "has a length out of bounds", map[string]int{"minLength": least, "maxLength": most})
	}
	return nil
}

// validateLine is validateText for what goes into lists and headings: one
// line, and not blank unless it may be empty.
func validateLine(field, s string, least, most int) error {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || isInvisible(r) }) {
		return Invalid(field, "must be one line without control and invisible characters", nil)
	}
	if least > 0 && strings.TrimSpace(s) == "" {
		return Invalid(field, "must not be blank", map[string]int{"minLength": least, "maxLength": most})
	}
	return validateText(field, s, least, most)
}

// isForbidden in a text. Joiners are part of how some languages and emoji are
// written; in what goes into lists they would make two names look the same.
func isForbidden(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner, emojiStyle = 0x200C, 0x200D, 0xFE0F
	switch r {
	case '\t', '\r', '\n', zeroWidthNonJoiner, zeroWidthJoiner, emojiStyle:
		return false
	}
	return unicode.IsControl(r) || isInvisible(r)
}

// isInvisible: a character that is not seen, or that changes the direction in
// which others are shown.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

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
