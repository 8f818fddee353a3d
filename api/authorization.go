package api

import (
	"encoding/base64"
	"net/http"
	"strings"
)

const (
	schemeBasic  = "basic"
	schemeBearer = "bearer"
)

// authorization is the Authorization header, taken apart.
type authorization struct {
	scheme      string // in lower case; empty when no credentials were sent
	credentials string
}

// readAuthorization reads the header as RFC 9110 section 11.4 has it: any
// number of spaces may follow the scheme. Two such headers make neither valid:
// which of them would count is not to be guessed.
func readAuthorization(r *http.Request) authorization {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return authorization{scheme: strings.Repeat("?", len(values))}
	}
	scheme, credentials, _ := strings.Cut(strings.TrimLeft(values[0], " "), " ")
	return authorization{strings.ToLower(scheme), strings.TrimLeft(credentials, " ")}
}

func (a authorization) sent() bool { return a.scheme != "" }

// basic gives the user and the password of RFC 7617, still form-encoded where
// RFC 6749 section 2.3.1 is kept.
func (a authorization) basic() (user, password string, ok bool) {
	if a.scheme != schemeBasic {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(a.credentials)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(text), ":")
}
