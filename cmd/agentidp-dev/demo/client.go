package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client calls one server's API.
type client struct {
	base string
	http *http.Client
}

func newClient(base string) *client {
	const patience = 30 * time.Second
	return &client{base: base, http: &http.Client{Timeout: patience}}
}

// reply is a status and a JSON object.
type reply struct {
	status int
	body   map[string]any
}

func (r reply) text(field string) string {
	s, _ := r.body[field].(string)
	return s
}

// call sends a JSON request with a bearer token.
func (c *client) call(ctx context.Context, method, path, token string, body any) (reply, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.send(request)
}

// token asks for an access token by client credentials.
func (c *client) token(ctx context.Context, id, secret, scope string) (reply, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return c.send(request)
}

func (c *client) send(request *http.Request) (reply, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: response.StatusCode}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &r.body); err != nil {
			return r, fmt.Errorf("%s %s answered no JSON: %w", request.Method, request.URL.Path, err)
		}
	}
	return r, nil
}
