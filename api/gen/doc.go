// Package gen holds the Go types of the requests and answers that
// ../openapi.yaml describes. types.gen.go is generated and not to be edited:
// change the description, then run go generate ./api/gen.
//
// A field of type nullable.Nullable tells null from absent, which PATCH
// needs; in an answer it must be set, to a value or to null.
package gen

//go:generate go tool -modfile=../../tools/go.mod oapi-codegen -config config.yaml ../openapi.yaml
