package tokens

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/internal/strictjson"
)

// Foreign is a JWT that somebody else made, in its parts. Nothing of it can be
// believed before its signature was checked.
type Foreign struct {
	Header, Claims map[string]any // numbers are [json.Number]
	Signed         string         // what the signature is over
	Signature      []byte
}

// SplitForeign takes a JWT in compact form apart (RFC 7515 section 7.1). There is one
// way to write each: bits behind the end, padding, line breaks and a name that
// stands twice in an object make it none. What can be read of such a one is given all
// the same.
func SplitForeign(text string) (jwt Foreign, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return jwt, false
	}
	jwt.Signed = text[:len(parts[0])+1+len(parts[1])]
	var headerOK, claimsOK, signatureOK bool
	jwt.Header, headerOK = decodeObject(parts[0])
	jwt.Claims, claimsOK = decodeObject(parts[1])
	jwt.Signature, signatureOK = decodePart(parts[2])
	return jwt, headerOK && claimsOK && signatureOK
}

func decodeObject(part string) (object map[string]any, ok bool) {
	data, canonical := decodePart(part)
	if !canonical {
		return nil, false
	}
	value, fault := strictjson.Parse(data)
	if fault != nil {
		return nil, false
	}
	object, ok = value.(map[string]any)
	return object, ok
}

// NumericDate reads a claim as RFC 7519 section 2 writes a time: in seconds, maybe with
// a fraction. There says that the claim is there at all, ok that it is such a time.
func NumericDate(claim any) (at time.Time, there, ok bool) {
	if claim == nil {
		return at, false, false
	}
	const most = 1 << 40 // seconds; far beyond any date that is meant
	number, isNumber := claim.(json.Number)
	seconds, err := number.Float64()
	if !isNumber || err != nil || math.Abs(seconds) > most {
		return at, true, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second))), true, true
}
