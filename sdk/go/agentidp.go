// Package agentidp calls the API of an AgentIdP. The client in client.gen.go is made
// from ../../api/openapi.yaml and not to be edited: change the description, then run
// go generate ./sdk/go. [New] is where to start.
//
// A response has a typed body for success, such as JSON200. Any other answer is an
// [Error], or an [OAuthError] at the OAuth endpoints; its bytes are in Body.
package agentidp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

//go:generate go tool -modfile=../../tools/go.mod oapi-codegen -config config.yaml ../../api/openapi.yaml

// New makes a client of the server at a base URL, which sends its requests by another
// one, such as [http.DefaultClient].
func New(base string, by HttpRequestDoer) (*ClientWithResponses, error) {
	return NewClientWithResponses(base, WithHTTPClient(by))
}

// Bearer authenticates a request with an access token.
func Bearer(token string) RequestEditorFn {
	return func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

// Secret authenticates a client with its secret (RFC 6749 section 2.3.1, which has both
// form-encoded before they are joined).
func Secret(id, secret string) RequestEditorFn {
	return func(_ context.Context, request *http.Request) error {
		request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		return nil
	}
}

// Answer is what every response is.
type Answer interface {
	StatusCode() int
	GetBody() []byte
}

// Want makes an error of an answer with another status than the one that is wanted. It
// goes around a call: err is that of the call, and the answer is looked at without one.
func Want(status int, answer Answer, err error) error {
	if err == nil && answer.StatusCode() != status {
		err = fmt.Errorf("expected status %d, got %d: %s", status, answer.StatusCode(), answer.GetBody())
	}
	return err
}
