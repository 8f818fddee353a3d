// Package wire is what bodies have in common: reading them, pages and lists, and how
// times, ids, texts and scopes are written. The types are those of package gen.
package wire
