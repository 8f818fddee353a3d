// Package timestamp holds the one form in which the API writes times: RFC 3339,
// in UTC, with exactly three digits of milliseconds. Start with [Milli].
package timestamp

import (
	"bytes"
	"fmt"
	"time"
)

const layout = "2006-01-02T15:04:05.000Z"

// Milli is a time that is written to the millisecond. It reads any RFC 3339
// time, and keeps what it read in full.
type Milli struct{ time.Time }

// Of makes a Milli.
func Of(t time.Time) Milli { return Milli{Time: t} }

// String is the form on the wire.
func (m Milli) String() string { return m.UTC().Format(layout) }

// MarshalJSON writes the time, cut to the millisecond. Years beyond the four
// digits of RFC 3339 are an error.
func (m Milli) MarshalJSON() ([]byte, error) {
	text, err := m.MarshalText()
	if err != nil {
		return nil, err
	}
	return append(append([]byte{'"'}, text...), '"'), nil
}

// MarshalText writes the time as [Milli.MarshalJSON] does, without quotes.
func (m Milli) MarshalText() ([]byte, error) {
	if year := m.UTC().Year(); year < 0 || year > 9999 {
		return nil, fmt.Errorf("timestamp: year %d cannot be written in RFC 3339", year)
	}
	return m.UTC().AppendFormat(nil, layout), nil
}

// UnmarshalJSON takes T and Z in lower case too (RFC 3339 section 5.6).
func (m *Milli) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	return m.Time.UnmarshalJSON(bytes.ToUpper(data))
}

// UnmarshalText reads as [Milli.UnmarshalJSON] does.
func (m *Milli) UnmarshalText(data []byte) error { return m.Time.UnmarshalText(bytes.ToUpper(data)) }
