package api_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// privateMembers are those of a JWK that nobody but its owner may see (RFC 7518
// section 6).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"}

// showsPrivateKey looks through an answer for a JWK with a private member, at any
// depth, in texts that are JSON too. [checkedTransport] holds every answer of every
// test to it.
func showsPrivateKey(body []byte) error {
	var content any
	if json.Unmarshal(body, &content) != nil {
		return nil // not JSON
	}
	return lookForPrivateKey(content)
}

func lookForPrivateKey(content any) error {
	switch found := content.(type) {
	case map[string]any:
		if _, isKey := found["kty"]; isKey {
			for _, member := range privateMembers {
				if _, there := found[member]; there {
					return fmt.Errorf("a JWK has the private member %q", member)
				}
			}
		}
		for _, inside := range found {
			if err := lookForPrivateKey(inside); err != nil {
				return err
			}
		}
	case []any:
		for _, inside := range found {
			if err := lookForPrivateKey(inside); err != nil {
				return err
			}
		}
	case string:
		if len(found) > 0 && (found[0] == '{' || found[0] == '[') {
			return showsPrivateKey([]byte(found))
		}
	}
	return nil
}

func TestAPrivateKeyInAnAnswerIsNoticed(t *testing.T) {
	t.Parallel()
	for _, member := range privateMembers {
		key := fmt.Sprintf(`{"kty":"EC","crv":"P-256",%q:"AAAA"}`, member)
		quoted, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{key, `{"keys":[` + key + `]}`, `{"a":{"b":` + string(quoted) + `}}`} {
			if showsPrivateKey([]byte(body)) == nil {
				t.Errorf("nothing was noticed in %s", body)
			}
		}
	}
	for _, body := range []string{`{"kty":"EC","x":"d"}`, `{"d":1,"k":{"q":2}}`, `d`, ``} {
		if err := showsPrivateKey([]byte(body)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}
