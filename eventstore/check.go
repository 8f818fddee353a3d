package eventstore

import (
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Bounds of the names in a record, in bytes.
const (
	maxStreamLen = 256
	maxTypeLen   = 128
)

// check says what a draft lacks to become a record, but for its data, which
// is checked while it is compacted.
func check(d *Draft, stream string, revision int64) error {
	switch {
	case d.ID == uuid.Nil:
		return invalid("id is missing")
	case !validStream(stream):
		return invalid("stream must be 1 to %d bytes of printable UTF-8, got %.40q", maxStreamLen, stream)
	case revision < 0:
		return invalid("revision must not be negative, got %d", revision)
	case !validType(d.Type):
		return invalid("type must be a dotted name of at most %d ASCII letters, digits, '.', '_' and '-', got %.40q", maxTypeLen, d.Type)
	case d.Schema < 1:
		return invalid("schema must be at least 1, got %d", d.Schema)
	case d.Actor.Kind != "agent" && d.Actor.Kind != "system" && d.Actor.Kind != "anonymous":
		return invalid(`actor kind must be "agent", "system" or "anonymous", got %.40q`, d.Actor.Kind)
	case d.Time.IsZero():
		return invalid("time is missing")
	case !validText(d.Actor.ID):
		return invalid("actor id is not valid UTF-8")
	case !validText(d.Request.ID), !validText(d.Request.IP), !validText(d.Request.Agent):
		return invalid("request is not valid UTF-8")
	case len(d.Data) == 0:
		return invalid("data is missing")
	}
	if year := d.Time.UTC().Year(); year < 1 || year > 9999 {
		return invalid("the year of time must have four digits, got %d", year)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidDraft, fmt.Sprintf(format, args...))
}

func validText(s string) bool { return utf8.ValidString(s) }

func validStream(s string) bool {
	if len(s) == 0 || len(s) > maxStreamLen {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// validType keeps types free of separators, so that engines may list them.
func validType(s string) bool {
	if len(s) == 0 || len(s) > maxTypeLen {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
