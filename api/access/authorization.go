package access

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// The schemes that are known here.
const (
	Basic  = "basic"
	Bearer = "bearer"
)

// Authorization is the Authorization header, taken apart.
type Authorization struct {
	Scheme      string // in lower case; empty when no credentials were sent
	Credentials string
}

// ReadAuthorization reads the header as RFC 9110 section 11.4 has it: any
// number of spaces may follow the scheme. Two such headers make neither valid:
// which of them would count is not to be guessed.
func ReadAuthorization(r *http.Request) Authorization {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return Authorization{Scheme: strings.Repeat("?", len(values))}
	}
	scheme, credentials, _ := strings.Cut(strings.TrimLeft(values[0], " "), " ")
	return Authorization{strings.ToLower(scheme), strings.TrimLeft(credentials, " ")}
}

// Sent reports whether the header was there.
func (a Authorization) Sent() bool { return a.Scheme != "" }

// Userinfo gives the user and the password of RFC 7617, still form-encoded where
// RFC 6749 section 2.3.1 is kept.
func (a Authorization) Userinfo() (user, password string, ok bool) {
	if a.Scheme != Basic {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(a.Credentials)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(text), ":")
}
