package tokens_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/tokens"
)

func TestAForeignTokenIsWrittenInOneWay(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	header, claims, signature := encode([]byte(`{"alg":"ES256"}`)), encode([]byte(`{"sub":"a","exp":1.5}`)), encode([]byte("signed"))
	jwt, ok := tokens.SplitForeign(header + "." + claims + "." + signature)
	if !ok || jwt.Header["alg"] != "ES256" || jwt.Claims["exp"] != json.Number("1.5") || jwt.Signed != header+"."+claims || string(jwt.Signature) != "signed" {
		t.Fatalf("read %+v, %t", jwt, ok)
	}
	for name, text := range map[string]string{
		"two parts":     header + "." + claims,
		"four parts":    header + "." + claims + "." + signature + ".",
		"padding":       header + "." + claims + "=." + signature,
		"a line break":  header + "." + claims[:4] + "\n" + claims[4:] + "." + signature,
		"bits behind":   header + "." + claims + "." + signature[:len(signature)-1] + "Z" + "A",
		"a name twice":  header + "." + encode([]byte(`{"sub":"a","sub":"b"}`)) + "." + signature,
		"an array":      encode([]byte(`["alg"]`)) + "." + claims + "." + signature,
		"more than one": header + "." + encode([]byte(`{}{}`)) + "." + signature,
	} {
		if jwt, ok := tokens.SplitForeign(text); ok {
			t.Errorf("%s: taken as %+v", name, jwt)
		}
	}
	if jwt, ok := tokens.SplitForeign(strings.Repeat(".", 1<<16)); ok {
		t.Errorf("dots are taken as %+v", jwt)
	}
}

func TestNumericDate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		claim     any
		want      time.Time
		there, ok bool
	}{
		{nil, time.Time{}, false, false},
		{json.Number("1"), time.Unix(1, 0), true, true},
		{json.Number("-1.5"), time.Unix(-2, 5e8), true, true},
		{json.Number("1e300"), time.Time{}, true, false},
		{"1", time.Time{}, true, false},
		{true, time.Time{}, true, false},
	} {
		if at, there, ok := tokens.NumericDate(tc.claim); !at.Equal(tc.want) || there != tc.there || ok != tc.ok {
			t.Errorf("%v is %s, %t, %t", tc.claim, at, there, ok)
		}
	}
}
