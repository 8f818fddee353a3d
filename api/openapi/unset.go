package openapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/domain"
)

// unsetField names, in the body of a PATCH, fields to set to null. Many
// generated clients leave null out of what they send, so they need another way
// to say it.
const unsetField = "unset"

// applyUnset turns {"unset": ["a"]} into {"a": null} and leaves the result to
// the handler, which need not know of unset. The body must have passed the
// schema.
func (b *bodyRule) applyUnset(r *http.Request, value any) *domain.Error {
	object, _ := value.(map[string]any)
	names, given := object[unsetField].([]any)
	if !given || r.Method != http.MethodPatch || b.schema.Properties[unsetField] == nil {
		return nil
	}
	delete(object, unsetField)
	for i, entry := range names {
		name, _ := entry.(string)
		if rule, message := b.missedByUnset(object, name); rule != "" {
			path := []string{unsetField, strconv.Itoa(i)}
			return rejectField("body", unsetField+"."+path[1], rule, message, nil).With("pointer", pointer(path))
		}
	}
	for _, entry := range names {
		name, _ := entry.(string)
		object[name] = nil
	}
	data, err := json.Marshal(object)
	if err != nil {
		return rejectField("body", unsetField, "invalid", "is not as described", nil)
	}
	rewind(r, data)
	return nil
}

// missedByUnset says what is wrong with a name in unset; nothing when rule is
// empty.
func (b *bodyRule) missedByUnset(object map[string]any, name string) (rule, message string) {
	property := b.schema.Properties[name]
	_, both := object[name]
	switch {
	case property == nil || name == unsetField:
		return "unknown", "does not name a field that can be changed here"
	case !property.Value.Nullable:
		return "nullable", "names " + name + ", which cannot be null; " + b.whatCanBeNull()
	case both:
		return "duplicate", "names " + name + ", which the body also gives a value; keep one of the two"
	}
	return "", ""
}

func (b *bodyRule) whatCanBeNull() string {
	var names []string
	for name, property := range b.schema.Properties {
		if property.Value.Nullable {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "nothing here can"
	}
	slices.Sort(names)
	return "what can is " + strings.Join(names, ", ")
}
