package federation

import (
	"slices"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/tokens"
)

// clockSkew is by how much a partner's clock may differ from ours.
const clockSkew = 30 * time.Second

// maxToken bounds what is taken apart at all, in bytes.
const maxToken = 16 << 10

// reason is why a token is refused, in one word.
type reason string

const (
	malformed      reason = "malformed"
	otherAlgorithm reason = "algorithm"
	unknownIssuer  reason = "issuer"
	isSuspended    reason = "suspended"
	isExpired      reason = "expired"
	unknownKey     reason = "key"
	badSignature   reason = "signature"
	outOfTime      reason = "time"
	otherAudience  reason = "audience"
	otherTenant    reason = "organization"
)

// refused is a token that is not a good one.
type refused struct {
	reason reason
	why    string
}

func (r *refused) Error() string { return "the token is refused: " + r.why }

// token is a JWT, taken apart. Nothing of it can be believed before its signature
// was checked.
type token struct {
	signed    string // what the signature is over
	signature []byte
	algorithm string
	keyID     string
	claims    map[string]any

	issuer       string
	subject      string
	audience     []string
	organization string // "" for none
	expiresAt    time.Time
	notBefore    []time.Time // nbf and iat, as far as they are there
}

// readToken takes a token apart and reads what it says.
func readToken(text string) (t token, err error) {
	if len(text) > maxToken {
		return t, &refused{malformed, "it must be a JWT of at most 16 KiB"}
	}
	jwt, ok := tokens.SplitForeign(text)
	if !ok {
		return t, &refused{malformed, "it must be a signed JWT: three parts in base64url, the first two JSON objects without a name twice"}
	}
	t.signed, t.signature, t.claims = jwt.Signed, jwt.Signature, jwt.Claims
	if err := t.readHeader(jwt.Header); err != nil {
		return t, err
	}
	return t, t.readClaims()
}

// readHeader takes access tokens (RFC 9068) and tokens that do not say of which kind
// they are. Members that bring a key or say where one is (jwk, jku, x5c, x5u) count for
// nothing: keys are the partner's own.
func (t *token) readHeader(header map[string]any) error {
	if _, there := header["crit"]; there {
		return &refused{malformed, "its header has crit, and no extension is understood here (RFC 7515 section 4.1.11)"}
	}
	if typ, there := header["typ"]; there {
		text, _ := typ.(string)
		if !slices.Contains([]string{"jwt", "at+jwt"}, strings.TrimPrefix(strings.ToLower(text), "application/")) {
			return &refused{malformed, "typ must be JWT or at+jwt, or be left out"}
		}
	}
	t.algorithm, _ = header["alg"].(string)
	if t.algorithm != signedByRSA.Alg() && t.algorithm != signedByP256.Alg() {
		return &refused{otherAlgorithm, "alg must be RS256 or ES256"}
	}
	keyID, there := header["kid"]
	if t.keyID, _ = keyID.(string); there && t.keyID == "" {
		return &refused{malformed, "kid must be a string that is not empty, or be left out"}
	}
	return nil
}

func (t *token) readClaims() error {
	if t.issuer, _ = t.claims["iss"].(string); t.issuer == "" {
		return &refused{malformed, "it has no iss"}
	}
	if t.subject, _ = t.claims["sub"].(string); t.subject == "" {
		return &refused{malformed, "it has no sub"}
	}
	organization, isText := t.claims["organization_id"].(string)
	if !isText && t.claims["organization_id"] != nil {
		return &refused{malformed, "organization_id must be a string, or be left out"}
	}
	t.organization = organization
	var ok bool
	if t.audience, ok = audienceOf(t.claims["aud"]); !ok {
		return &refused{malformed, "aud must be a string or a list of strings"}
	}
	return t.readTimes()
}

// audienceOf is aud as a list, empty where there is none (RFC 7519 section 4.1.3).
func audienceOf(claim any) (audience []string, ok bool) {
	audience = []string{}
	switch claim := claim.(type) {
	case nil:
	case string:
		audience = append(audience, claim)
	case []any:
		for _, one := range claim {
			text, isText := one.(string)
			if !isText {
				return nil, false
			}
			audience = append(audience, text)
		}
	default:
		return nil, false
	}
	return audience, true
}

func (t *token) readTimes() error {
	for _, name := range []string{"exp", "nbf", "iat"} {
		at, there, ok := tokens.NumericDate(t.claims[name])
		switch {
		case there && !ok:
			return &refused{malformed, name + " must be a number of seconds"}
		case !there && name == "exp":
			return &refused{outOfTime, "it has no exp"}
		case !there:
		case name == "exp":
			t.expiresAt = at
		default:
			t.notBefore = append(t.notBefore, at)
		}
	}
	return nil
}
