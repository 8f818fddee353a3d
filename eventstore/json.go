package eventstore

import "unicode/utf8"

// maxDepth bounds the nesting of data: what encoding/json reads.
const maxDepth = 10000

// plain tells the bytes that stand for themselves inside a JSON string: all
// but the quote, the backslash, controls and what is not ASCII.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendString writes a JSON string, escaped as [Seal] documents. The string
// is valid UTF-8.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if plain[c] || c >= utf8.RuneSelf {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\t':
			b = append(b, '\\', 't')
		case '\n':
			b = append(b, '\\', 'n')
		case '\f':
			b = append(b, '\\', 'f')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			const digits = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// appendCompactObject appends a JSON object without the white space between
// its tokens. It reports whether data is one object of valid JSON (RFC 8259)
// in valid UTF-8, nested no deeper than maxDepth.
func appendCompactObject(dst, data []byte) ([]byte, bool) {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' {
		return dst, false
	}
	// The stack holds the open brackets; data that nests deeper than the
	// array is rare.
	var array [64]byte
	stack := array[:0]
	start := i // of the bytes not yet copied
	wantKey := false

	for { // each turn reads one value, at i, and what closes after it
		if wantKey {
			if i == len(data) || data[i] != '"' {
				return dst, false
			}
			end, ok := stringEnd(data, i)
			if !ok {
				return dst, false
			}
			dst, i, start = copyGap(dst, data, end, start)
			if i == len(data) || data[i] != ':' {
				return dst, false
			}
			dst, i, start = copyGap(dst, data, i+1, start)
		}
		if i == len(data) {
			return dst, false
		}
		var end int
		ok := true
		switch c := data[i]; c {
		case '{', '[':
			if len(stack) == maxDepth {
				return dst, false
			}
			stack = append(stack, c)
			dst, i, start = copyGap(dst, data, i+1, start)
			wantKey = c == '{'
			if i == len(data) || data[i] != c+2 { // '}' and ']' follow theirs by two
				continue
			}
			stack = stack[:len(stack)-1]
			end = i + 1
		case '"':
			end, ok = stringEnd(data, i)
		case 't':
			end, ok = wordEnd(data, i, "true")
		case 'f':
			end, ok = wordEnd(data, i, "false")
		case 'n':
			end, ok = wordEnd(data, i, "null")
		default:
			end, ok = numberEnd(data, i)
		}
		if !ok {
			return dst, false
		}
		dst, i, start = copyGap(dst, data, end, start)
		for len(stack) > 0 && i < len(data) && data[i] == stack[len(stack)-1]+2 {
			stack = stack[:len(stack)-1]
			dst, i, start = copyGap(dst, data, i+1, start)
		}
		if len(stack) == 0 {
			return append(dst, data[start:i]...), i == len(data)
		}
		if i == len(data) || data[i] != ',' {
			return dst, false
		}
		dst, i, start = copyGap(dst, data, i+1, start)
		wantKey = stack[len(stack)-1] == '{'
	}
}

// copyGap moves past the white space at end. Bytes from start are only copied
// when there is some, so that compact data is copied in one piece.
func copyGap(dst, data []byte, end, start int) (_ []byte, next, newStart int) {
	if end < len(data) && data[end] > ' ' {
		return dst, end, start
	}
	next = skipSpace(data, end)
	if next == end {
		return dst, end, start
	}
	return append(dst, data[start:end]...), next, next
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

func wordEnd(data []byte, i int, word string) (int, bool) {
	end := i + len(word)
	return end, end <= len(data) && string(data[i:end]) == word
}

// stringEnd is the index after the string that begins at i.
func stringEnd(data []byte, i int) (int, bool) {
	for i++; i < len(data); {
		c := data[i]
		switch {
		case plain[c]:
			i++
		case c == '"':
			return i + 1, true
		case c == '\\':
			n := escapeLen(data[i:])
			if n == 0 {
				return i, false
			}
			i += n
		case c < 0x20:
			return i, false
		default:
			r, size := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && size == 1 {
				return i, false
			}
			i += size
		}
	}
	return i, false
}

// escapeLen is the length of the escape sequence that b begins with, 0 if
// there is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if _, ok := hexDigit(c); !ok {
				return 0
			}
		}
		return 6
	}
	return 0
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// numberEnd is the index after the number that begins at i.
func numberEnd(data []byte, i int) (int, bool) {
	if i < len(data) && data[i] == '-' {
		i++
	}
	digits := func() bool {
		from := i
		for i < len(data) && '0' <= data[i] && data[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(data) && data[i] == '0' {
		i++
	} else if !digits() {
		return i, false
	}
	if i < len(data) && data[i] == '.' {
		i++
		if !digits() {
			return i, false
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		if !digits() {
			return i, false
		}
	}
	return i, true
}
