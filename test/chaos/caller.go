package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// caller is one client: it asks any of the nodes, and repeats under the same
// key what it got no answer to.
type caller struct {
	nodes    []string // base URLs
	http     *http.Client
	patience time.Duration // with one request
	rng      *rand.Rand
	record   *Recording
	name     string // begins the ids of its requests
	requests int
}

// ask is a request before it is sent.
type ask struct {
	method, path string
	bearer       string
	basic        [2]string // client id and secret; with a form only
	body         any       // JSON, or url.Values for a form
	header       map[string]string
	yes          func(answer) bool // whether an answer of success means yes; nil when it always does
	names        string            // the field of the answer that names what was made; "" when there is none
}

// keyed is whether the request may be repeated for the same answer.
func (a ask) keyed() bool { return a.header[idempotencyKey] != "" }

const idempotencyKey = "Idempotency-Key"

// answer is what came of a request.
type answer struct {
	request string // its id
	result  Result
	status  int
	code    string // of a refusal
	raw     string
	body    map[string]any
	header  http.Header
}

func (a answer) text(field string) string {
	s, _ := a.body[field].(string)
	return s
}

// texts is a field that is a list of texts.
func (a answer) texts(field string) (texts []string) {
	list, _ := a.body[field].([]any)
	for _, entry := range list {
		s, _ := entry.(string)
		texts = append(texts, s)
	}
	return texts
}

// list is a field that is a list of objects.
func (a answer) list(field string) (objects []map[string]any) {
	list, _ := a.body[field].([]any)
	for _, entry := range list {
		object, _ := entry.(map[string]any)
		objects = append(objects, object)
	}
	return objects
}

// position is the place in the ledger that the answer tells; 0 for none.
func (a answer) position() uint64 {
	position, _ := strconv.ParseUint(a.header.Get("X-Ledger-Position"), 10, 64) // absent is 0
	return position
}

func (a answer) String() string {
	if a.status == 0 {
		return "no answer"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, a.code))
}

// once sends a request to a node at random.
func (c *caller) once(ctx context.Context, what ask) answer {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	c.requests++
	a := answer{request: fmt.Sprintf("%s-%d", c.name, c.requests), result: Unknown}
	request, err := what.build(ctx, c.nodes[c.rng.IntN(len(c.nodes))], a.request)
	if err != nil {
		panic(err) // the workload makes no request that cannot be one
	}
	response, err := c.http.Do(request)
	if err != nil {
		return a
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return a
	}
	a.status, a.header, a.raw = response.StatusCode, response.Header, string(raw)
	_ = json.Unmarshal(raw, &a.body) // what is no object has no fields
	a.code = a.text("code") + a.text("error")
	if a.result = resultOf(a); a.result == Acknowledged && what.yes != nil && !what.yes(a) {
		a.result, a.code = Refused, "no"
	}
	if a.status >= http.StatusInternalServerError && a.status != http.StatusServiceUnavailable {
		c.record.Mistake(Violation{Rule: RuleAnswer, Detail: fmt.Sprintf("%s %s as %s: %d %s", what.method, what.path, a.request, a.status, raw)})
	}
	return a
}

// resultOf: a lost race and an answer that says "not now" leave open what has
// happened.
func resultOf(a answer) Result {
	switch {
	case a.status >= 200 && a.status < 300:
		return Acknowledged
	case a.status == http.StatusConflict && a.code == "CONFLICT", a.status == http.StatusTooManyRequests, a.status >= 500:
		return Unknown
	}
	return Refused
}

// until repeats a request until it is answered, a few times at most.
func (c *caller) until(ctx context.Context, what ask) (last answer, tried attempts) {
	const most = 5
	for range most {
		last = c.once(ctx, what)
		tried = append(tried, last.attempt(what))
		if last.result != Unknown || !between(ctx, c.rng, 20*time.Millisecond, 300*time.Millisecond) {
			break
		}
	}
	return last, tried
}

// attempt is the answer as the recording keeps it.
func (a answer) attempt(at ask) Attempt {
	attempt := Attempt{Request: a.request, Result: a.result}
	if a.result == Acknowledged && at.keyed() {
		attempt.Named, attempt.Body, attempt.Replayed = a.text(at.names), a.raw, a.header.Get("Idempotency-Replayed") == "true"
	}
	return attempt
}

func (a ask) build(ctx context.Context, base, id string) (*http.Request, error) {
	var content io.Reader
	contentType := "application/json"
	switch body := a.body.(type) {
	case nil:
		contentType = ""
	case url.Values:
		content, contentType = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, a.method, base+a.path, content)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if a.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+a.bearer)
	}
	if a.basic[0] != "" {
		request.SetBasicAuth(url.QueryEscape(a.basic[0]), url.QueryEscape(a.basic[1]))
	}
	for name, value := range a.header {
		request.Header.Set(name, value)
	}
	request.Header.Set("X-Request-Id", id)
	return request, nil
}
