package domain

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

const (
	maxMetadataSize  = 8 << 10 // bytes, as stored
	maxMetadataDepth = 32
	maxExponent      = 308 // of a double, the most that JSON carries everywhere (RFC 8259 section 6)
)

// normalizeMetadata gives the one form of the metadata that encoding and
// decoding leave alone, byte for byte, so that a state is the same whether it
// was folded from events or read from a snapshot. What is not JSON comes back
// as it is, for validateMetadata to refuse.
func normalizeMetadata(metadata json.RawMessage) json.RawMessage {
	if len(metadata) == 0 {
		return json.RawMessage("{}")
	}
	value, ok := parseJSON(metadata)
	if !ok {
		return metadata
	}
	normal, err := json.Marshal(value)
	if err != nil {
		return metadata
	}
	return normal
}

// validateMetadata refuses what some reader of the ledger could not take: an
// event that a projection cannot store would stop it for everybody.
func validateMetadata(metadata json.RawMessage) error {
	if len(metadata) > maxMetadataSize {
		return Invalid("metadata", "is too large in bytes", maxMetadataSize)
	}
	value, ok := parseJSON(metadata)
	if _, isObject := value.(map[string]any); !ok || !isObject {
		return Invalid("metadata", "must be a JSON object", nil)
	}
	return validateMetadataValue(value, 0)
}

func validateMetadataValue(value any, depth int) error {
	if depth > maxMetadataDepth {
		return Invalid("metadata", "is nested too deeply", maxMetadataDepth)
	}
	switch value := value.(type) {
	case map[string]any:
		for key, member := range value {
			if err := validateMetadataValue(key, depth); err != nil {
				return err
			}
			if err := validateMetadataValue(member, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, element := range value {
			if err := validateMetadataValue(element, depth+1); err != nil {
				return err
			}
		}
	case string:
		if strings.ContainsRune(value, 0) {
			return Invalid("metadata", "must not contain NUL characters", nil)
		}
	case json.Number:
		if !isPortable(value) {
			return Invalid("metadata", "has a number with an exponent out of bounds", maxExponent)
		}
	}
	return nil
}

func isPortable(number json.Number) bool {
	_, digits, found := strings.Cut(strings.ToLower(number.String()), "e")
	if !found {
		return true
	}
	exponent, err := strconv.Atoi(digits)
	return err == nil && -maxExponent <= exponent && exponent <= maxExponent
}

// parseJSON keeps numbers as they are written.
func parseJSON(data []byte) (value any, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	ok = json.Valid(data) && decoder.Decode(&value) == nil
	return value, ok
}
