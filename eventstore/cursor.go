package eventstore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// cursor reads a record from front to back. After the first thing that is not
// as expected it has failed, and all it returns means nothing.
type cursor struct {
	rest   []byte
	failed bool
}

func (c *cursor) take(n int) []byte {
	if c.failed || len(c.rest) < n {
		c.failed = true
		return nil
	}
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

// accept moves past s if it is next.
func (c *cursor) accept(s string) bool {
	if c.failed || len(c.rest) < len(s) || string(c.rest[:len(s)]) != s {
		return false
	}
	c.rest = c.rest[len(s):]
	return true
}

// literal expects s.
func (c *cursor) literal(s string) {
	if !c.accept(s) {
		c.failed = true
	}
}

// raw reads a JSON string and returns it with its quotes.
func (c *cursor) raw() []byte {
	if c.failed || len(c.rest) == 0 || c.rest[0] != '"' {
		c.failed = true
		return nil
	}
	end, ok := stringEnd(c.rest, 0)
	if !ok {
		c.failed = true
		return nil
	}
	return c.take(end)
}

func (c *cursor) string() string {
	raw := c.raw()
	if c.failed {
		return ""
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return intern(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		c.failed = true
	}
	return s
}

// intern spares an allocation for the strings that stand in most records.
func intern(b []byte) string {
	switch string(b) {
	case "":
		return ""
	case "agent":
		return "agent"
	case "system":
		return "system"
	case "anonymous":
		return "anonymous"
	case "token.issued":
		return "token.issued"
	}
	return string(b)
}

func (c *cursor) integer() int64 {
	end, ok := numberEnd(c.rest, 0)
	if c.failed || !ok {
		c.failed = true
		return 0
	}
	n, err := strconv.ParseInt(string(c.take(end)), 10, 64)
	if err != nil {
		c.failed = true
	}
	return n
}

const uuidLen = 36

func (c *cursor) uuid() (id uuid.UUID) {
	text := c.take(uuidLen)
	if c.failed {
		return id
	}
	at := 0
	for i := 0; i < uuidLen; {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			i++ // re-encoding finds out whether this was a hyphen
			continue
		}
		high, ok1 := hexDigit(text[i])
		low, ok2 := hexDigit(text[i+1])
		if !ok1 || !ok2 {
			c.failed = true
			return id
		}
		id[at] = high<<4 | low
		at++
		i += 2
	}
	return id
}

func (c *cursor) optionalUUID() uuid.UUID {
	if c.accept("null") {
		return uuid.Nil
	}
	c.literal(`"`)
	id := c.uuid()
	c.literal(`"`)
	return id
}

func (c *cursor) hash(h *Hash) {
	text := c.take(2 * len(h))
	if c.failed {
		return
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		c.failed = true
	}
}

// timeLen is the length of 2026-11-23T07:21:00.123456Z.
const timeLen = 27

// appendTime writes a time of a four-digit year, to the microsecond, in UTC.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendDigits(b, year, 4)
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	b = appendDigits(append(b, ':'), second, 2)
	b = appendDigits(append(b, '.'), t.Nanosecond()/1000, 6)
	return append(b, 'Z')
}

func appendDigits(b []byte, n, width int) []byte {
	var digits [6]byte
	for i := width - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(b, digits[:width]...)
}

// time reads what appendTime wrote. What is no date (February 30) is found by
// re-encoding.
func (c *cursor) time() time.Time {
	text := c.take(timeLen)
	if c.failed {
		return time.Time{}
	}
	number := func(from, to int) (n int) {
		for _, d := range text[from:to] {
			if d < '0' || d > '9' {
				c.failed = true
			}
			n = 10*n + int(d-'0')
		}
		return n
	}
	year, month, day := number(0, 4), time.Month(number(5, 7)), number(8, 10)
	hour, minute, second, micros := number(11, 13), number(14, 16), number(17, 19), number(20, 26)
	return time.Date(year, month, day, hour, minute, second, micros*1000, time.UTC)
}
