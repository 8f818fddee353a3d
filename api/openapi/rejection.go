package openapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/sentryagent/agentidp/domain"
)

// rejectField blames one field of a request that is not as described: its details
// name the field, where it is (path, query, header or body), the rule and the bound
// that was missed. It never repeats a value that was sent, only the names of
// fields. An empty name blames the whole query or body.
func rejectField(in, name, rule, message string, bound any) *domain.Error {
	if name == "" {
		name = in
	}
	name = shortened(name)
	details := map[string]any{"field": name, "in": in, "rule": rule}
	if bound != nil {
		details["bound"] = bound
	}
	return &domain.Error{Code: domain.CodeValidation, Message: name + " " + message, Details: details}
}

// as gives a rejection another code than that of any invalid field.
func as(code domain.Code, rejected *domain.Error) *domain.Error {
	rejected.Code = code
	return rejected
}

// shortened keeps names that a caller made up from filling the answer.
func shortened(name string) string {
	const most = 128
	name = strings.ToValidUTF8(name, "\uFFFD")
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return name
}

func rejectParameter(err error) *domain.Error {
	var (
		faulty *openapi3filter.RequestError
		schema *openapi3.SchemaError
	)
	if !errors.As(err, &faulty) || faulty.Parameter == nil {
		return rejectField("request", "", "invalid", "is not as described", nil)
	}
	in, name := faulty.Parameter.In, faulty.Parameter.Name
	switch {
	case errors.As(faulty.Err, &schema):
		rule, message, bound := missed(schema)
		return rejectField(in, name, rule, message, bound)
	case errors.Is(faulty.Err, openapi3filter.ErrInvalidRequired):
		return rejectField(in, name, "required", "is missing", nil)
	case errors.Is(faulty.Err, openapi3filter.ErrInvalidEmptyValue):
		return rejectField(in, name, "empty", "must not be empty", nil)
	}
	kind := typeName(faulty.Parameter.Schema.Value)
	return rejectField(in, name, "type", "must be "+withArticle(kind), kind)
}

// rejectBody blames the part of a body that a schema refuses.
func rejectBody(err error) *domain.Error {
	var schema *openapi3.SchemaError
	if !errors.As(err, &schema) {
		return rejectField("body", "", "invalid", "is not as described", nil)
	}
	path := schema.JSONPointer()
	rule, message, bound := missed(schema)
	if unknown, found := unknownField(schema); found {
		path = append(path, unknown)
		rule, message, bound = "unknown", "is not a known field", nil
	}
	return rejectField("body", strings.Join(path, "."), rule, message, bound).With("pointer", pointer(path))
}

// pointer is a JSON pointer (RFC 6901), cut where it would get too long.
func pointer(path []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, token := range path {
		b.WriteByte('/')
		b.WriteString(escape.Replace(token))
	}
	return shortened(b.String())
}

// unknownField finds the first field that an object has and its schema lacks.
func unknownField(err *openapi3.SchemaError) (name string, found bool) {
	object, ok := err.Value.(map[string]any)
	if err.SchemaField != "properties" || !ok {
		return "", false
	}
	var unknown []string
	for key := range object {
		if err.Schema.Properties[key] == nil {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return "", false
	}
	return slices.Min(unknown), true
}

// missed says which rule of the schema was missed, what that means for a
// person, and the bound.
func missed(err *openapi3.SchemaError) (rule, message string, bound any) {
	schema := err.Schema
	rule = err.SchemaField
	if _, text := err.Value.(string); text && schema.Format == "uuid" {
		rule = "format" // of its length nobody thinks who has written something else
	}
	switch rule {
	case "required":
		return rule, "is missing", nil
	case "nullable":
		return rule, "must not be null", nil
	case "enum":
		return rule, "must be one of " + listed(schema.Enum), schema.Enum
	case "oneOf":
		return rule, anyOf(schema.OneOf), nil
	case "type":
		kind := typeName(schema)
		return rule, "must be " + withArticle(kind), kind
	case "format":
		return rule, formatMessage(schema.Format, err.Value), schema.Format
	case "pattern":
		return rule, patternMessage(schema), schema.Pattern
	case "minLength":
		return rule, fmt.Sprintf("must have at least %d characters", schema.MinLength), schema.MinLength
	case "maxLength":
		return rule, fmt.Sprintf("must have at most %d characters", *schema.MaxLength), *schema.MaxLength
	case "minItems":
		return rule, fmt.Sprintf("must have at least %d entries", schema.MinItems), schema.MinItems
	case "maxItems":
		return rule, fmt.Sprintf("must have at most %d entries", *schema.MaxItems), *schema.MaxItems
	case "minProperties":
		return rule, fmt.Sprintf("must have at least %d fields", schema.MinProps), schema.MinProps
	case "maxProperties":
		return rule, fmt.Sprintf("must have at most %d fields", *schema.MaxProps), *schema.MaxProps
	case "minimum":
		return rule, fmt.Sprintf("must be at least %v", *schema.Min), *schema.Min
	case "maximum":
		return rule, fmt.Sprintf("must be at most %.0f", *schema.Max), *schema.Max
	}
	return rule, "is not as described", nil
}

// anyOf says which forms a value may have.
func anyOf(alternatives openapi3.SchemaRefs) string {
	forms := make([]string, len(alternatives))
	for i, alternative := range alternatives {
		switch schema := alternative.Value; {
		case len(schema.Enum) > 0:
			forms[i] = "one of " + listed(schema.Enum)
		case schema.Format != "":
			forms[i] = strings.TrimPrefix(formatMessage(schema.Format, nil), "must be ")
		default:
			forms[i] = withArticle(typeName(schema))
		}
	}
	return "must be " + strings.Join(forms, ", or ")
}

func formatMessage(format string, value any) string {
	switch format {
	case "uuid":
		return errNotUUID.Error() + ", such as 019a3f60-1d2e-7a3b-8c4d-6f5e4d3c2b1a"
	case "email":
		return errNotEmail.Error()
	case "date-time":
		if text, _ := value.(string); strings.Contains(text, " ") && validateTime(strings.Replace(text, " ", "+", 1)) == nil {
			return "has a space where its offset begins: a + in a URL means a space, write it as %2B"
		}
		return errNotTime.Error()
	}
	return "must have the format " + format
}

func patternMessage(schema *openapi3.Schema) string {
	if schema.Example != nil {
		return fmt.Sprintf("does not have the right form, such as %v", schema.Example)
	}
	return "does not have the right form"
}

func listed(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}

func typeName(schema *openapi3.Schema) string {
	return strings.Join(schema.Type.Slice(), " or ")
}

func withArticle(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}
