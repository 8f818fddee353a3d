package model

import (
	"regexp"
	"strings"
)

// Filter is what a reader of $all wants to see.
type Filter struct {
	ByType   bool     // else by the names of streams
	Prefixes []string // any of them; an empty one is all
	Regex    string   // instead of prefixes

	compiled *regexp.Regexp
}

// compile prepares a filter for use. Nil passes everything.
func (f *Filter) compile() (*Filter, error) {
	if f == nil || f.Regex == "" {
		return f, nil
	}
	compiled, err := regexp.Compile(f.Regex)
	if err != nil {
		return nil, errHandler
	}
	return &Filter{f.ByType, nil, f.Regex, compiled}, nil
}

func (f *Filter) passes(r *Record) bool {
	if f == nil {
		return true
	}
	text := r.Stream
	if f.ByType {
		text = r.Type
	}
	if f.compiled != nil {
		return f.compiled.MatchString(text)
	}
	for _, prefix := range f.Prefixes {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
