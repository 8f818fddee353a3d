package config

import (
	"strconv"
	"strings"
	"time"
)

// section is what docs/configuration.md has under one heading.
type section struct {
	title    string
	settings []setting
}

// setting is one variable. The texts are Markdown.
type setting struct {
	name    string
	preset  string // what is taken where it is not set, or "required"
	bound   string // what is accepted
	example string // a value, for .env.example
	meaning string
	read    func(*reader, *Config)

	log  string           // what the start-up log calls it; "" keeps it out of there
	show func(Config) any // its value in that log, without secrets
}

// logged has the start-up log show the value.
func (s setting) logged(as string) setting {
	s.log = as
	return s
}

func integer(name string, preset, least, most int, into func(*Config) *int, meaning string) setting {
	return setting{
		name: name, preset: grouped(preset), bound: grouped(least) + " to " + grouped(most), example: strconv.Itoa(preset), meaning: meaning,
		read: func(r *reader, c *Config) { *into(c) = r.integer(name, preset, least, most) },
		show: func(c Config) any { return *into(&c) },
	}
}

func milliseconds(name string, preset, least, most int, into func(*Config) *time.Duration, meaning string) setting {
	return duration(name, time.Millisecond, preset, least, most, into, meaning)
}

// duration is a whole number of a unit.
func duration(name string, unit time.Duration, preset, least, most int, into func(*Config) *time.Duration, meaning string) setting {
	s := integer(name, preset, least, most, nil, meaning)
	s.read = func(r *reader, c *Config) { *into(c) = time.Duration(r.integer(name, preset, least, most)) * unit }
	s.show = func(c Config) any { return *into(&c) }
	return s
}

// boolean is true unless it is set to false.
func boolean(name string, into func(*Config) *bool, meaning string) setting {
	return setting{
		name: name, preset: "`true`", bound: "`true`, `false`", example: "true", meaning: meaning,
		read: func(r *reader, c *Config) { *into(c) = r.oneOf(name, "true", "false") == "true" },
		show: func(c Config) any { return *into(&c) },
	}
}

// grouped is a number as people write it: 86,400,000.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Documented is docs/configuration.md with its tables written from the settings. What
// stands around the tables stays as it is in text.
func Documented(text string) string {
	var out strings.Builder
	var current *section
	for line := range strings.Lines(text) {
		if title, heading := strings.CutPrefix(line, "## "); heading {
			current = sectionOf(strings.TrimSpace(title))
		}
		switch {
		case current != nil && strings.HasPrefix(line, "| variable |"):
			out.WriteString(current.table())
		case current != nil && strings.HasPrefix(line, "|"):
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}

func sectionOf(title string) *section {
	for i := range sections {
		if sections[i].title == title {
			return &sections[i]
		}
	}
	return nil
}

func (s *section) table() string {
	var out strings.Builder
	out.WriteString("| variable | default | bound | meaning |\n|---|---|---|---|\n")
	for _, v := range s.settings {
		out.WriteString("| `" + v.name + "` | " + v.preset + " | " + v.bound + " | " + v.meaning + " |\n")
	}
	return out.String()
}

// Example is .env.example: what is required, and everything else commented out.
func Example() string {
	var out strings.Builder
	out.WriteString("# Copy this file to .env and set what is required. docs/configuration.md says more of each variable.\n")
	for _, s := range sections {
		out.WriteString("\n# " + s.title + "\n")
		for _, v := range s.settings {
			assignment, preset := v.name+"="+v.example, "Required"
			if v.preset != "required" && !strings.HasPrefix(v.preset, "required (") { // always, not with another setting
				assignment, preset = "#"+assignment, "Default: "+v.preset
			}
			sentence, _, _ := strings.Cut(v.meaning, ". ")
			about := strings.TrimSuffix(sentence, ".") + ".\n# " + preset + ". Accepted: " + v.bound + "."
			out.WriteString("\n# " + plain.Replace(about) + "\n" + assignment + "\n")
		}
	}
	return out.String()
}

// plain takes the Markdown out of a text.
var plain = strings.NewReplacer("`", "", "**", "")
