// Package strictjson reads JSON that means the same to every reader. Start with
// [Parse].
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxNesting      = 32
	maxNumberLength = 64
)

// Fault says why a text is not JSON as we take it, and where.
type Fault struct {
	Path     []string // the value that is at fault; none when the text as a whole is
	Position int      // in bytes from the start
	Rule     string
	Message  string
	Bound    any // that was missed; nil for none
}

// Parse reads a JSON text (RFC 8259) that means the same to every
// reader: valid UTF-8 without NUL and without half surrogate pairs, no key
// twice in an object, numbers that fit a double, at most 32 levels deep and
// nothing after the value. Numbers come back as [json.Number].
func Parse(data []byte) (any, *Fault) {
	if position := invalidUTF8(data); position >= 0 {
		return nil, &Fault{Position: position, Rule: "utf8", Message: "must be valid UTF-8"}
	}
	if !json.Valid(data) {
		return nil, syntaxFault(data)
	}
	p := &parser{data: data}
	value := p.value(0)
	return value, p.fault
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	i := 0
	for i < len(data) {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		i += size
	}
	return i
}

func syntaxFault(data []byte) *Fault {
	fault := &Fault{Position: len(data), Rule: "syntax", Message: "must be JSON"}
	var value any
	var syntax *json.SyntaxError
	if err := json.Unmarshal(data, &value); errors.As(err, &syntax) {
		fault.Position = max(0, int(syntax.Offset)-1)
		if fault.Position >= len(data)-1 && strings.Contains(syntax.Error(), "unexpected end") {
			fault.Position = len(data)
		}
	}
	fault.Message = fmt.Sprintf("must be JSON, and nothing else; see position %d", fault.Position)
	return fault
}

// parser walks a text that is known to be valid JSON, so that all that
// is left to look at is what RFC 8259 allows and we do not.
type parser struct {
	data  []byte
	at    int
	path  []string
	fault *Fault // the first one; parsing goes no further
}

func (p *parser) fail(position int, rule, message string, bound any) {
	if p.fault == nil {
		p.fault = &Fault{append([]string(nil), p.path...), position, rule, message, bound}
	}
}

// next skips white space and separators.
func (p *parser) next() byte {
	for strings.IndexByte(" \t\r\n,:", p.data[p.at]) >= 0 {
		p.at++
	}
	return p.data[p.at]
}

func (p *parser) value(depth int) any {
	switch p.next() {
	case '{':
		return p.object(depth + 1)
	case '[':
		return p.array(depth + 1)
	case '"':
		return p.text()
	case 't':
		p.at += len("true")
		return true
	case 'f':
		p.at += len("false")
		return false
	case 'n':
		p.at += len("null")
		return nil
	}
	return p.number()
}

func (p *parser) tooDeep(depth int) bool {
	if depth > maxNesting {
		p.path = nil // the path would be as deep
		p.fail(p.at, "nesting", "must not be nested so deeply", maxNesting)
	}
	return depth > maxNesting
}

func (p *parser) object(depth int) any {
	if p.tooDeep(depth) {
		return nil
	}
	object := map[string]any{}
	p.at++
	for p.next() != '}' {
		start := p.at
		key := p.text()
		p.path = append(p.path, key)
		if _, twice := object[key]; twice {
			p.fail(start, "duplicate", "must be given only once", nil)
		}
		object[key] = p.value(depth)
		if p.fault != nil {
			return nil
		}
		p.path = p.path[:len(p.path)-1]
	}
	p.at++
	return object
}

func (p *parser) array(depth int) any {
	if p.tooDeep(depth) {
		return nil
	}
	list := []any{}
	p.at++
	for p.next() != ']' {
		p.path = append(p.path, strconv.Itoa(len(list)))
		list = append(list, p.value(depth))
		if p.fault != nil {
			return nil
		}
		p.path = p.path[:len(p.path)-1]
	}
	p.at++
	return list
}

// text reads a string or a key.
func (p *parser) text() string {
	start := p.at
	escaped := false
	for p.at++; p.data[p.at] != '"'; p.at++ {
		if p.data[p.at] == '\\' {
			escaped = true
			p.at++
		}
	}
	p.at++
	raw := p.data[start:p.at]
	if !escaped {
		return string(raw[1 : len(raw)-1])
	}
	if i, message := badEscape(raw); i >= 0 {
		p.fail(start+i, "text", message, nil)
	}
	var decoded string
	if json.Unmarshal(raw, &decoded) != nil {
		p.fail(start, "syntax", "must be a JSON string", nil)
	}
	return decoded
}

// badEscape finds \u0000, and halves of surrogate pairs: decoders replace
// those in silence and PostgreSQL refuses both.
func badEscape(raw []byte) (position int, message string) {
	const escapeLength = len(`\u0000`)
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if raw[i+1] != 'u' {
			i++
			continue
		}
		unit := hexUnit(raw[i:])
		switch {
		case unit == 0:
			return i, "must not have NUL characters"
		case unit >= 0xDC00 && unit < 0xE000,
			unit >= 0xD800 && unit < 0xDC00 && !isLowSurrogate(raw[i+escapeLength:]):
			return i, "must not have half a surrogate pair"
		case unit >= 0xD800 && unit < 0xDC00:
			i += escapeLength
		}
		i += escapeLength - 1
	}
	return -1, ""
}

func isLowSurrogate(raw []byte) bool {
	unit := hexUnit(raw)
	return unit >= 0xDC00 && unit < 0xE000
}

// hexUnit is the UTF-16 code unit of the \uXXXX that raw begins with, -1 when
// it does not.
func hexUnit(raw []byte) int64 {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseInt(string(raw[2:6]), 16, 32)
	if err != nil {
		return -1
	}
	return unit
}

// number refuses what a double cannot hold without becoming infinite or zero.
func (p *parser) number() any {
	start := p.at
	for p.at < len(p.data) && strings.IndexByte("+-.0123456789eE", p.data[p.at]) >= 0 {
		p.at++
	}
	literal := string(p.data[start:p.at])
	value, err := strconv.ParseFloat(literal, 64)
	mantissa, _, _ := strings.Cut(strings.ToLower(literal), "e")
	vanished := value == 0 && strings.ContainsAny(mantissa, "123456789")
	if err != nil || vanished || len(literal) > maxNumberLength {
		p.fail(start, "number", "must be a number that fits a 64-bit floating point one", nil)
	}
	return json.Number(literal)
}
