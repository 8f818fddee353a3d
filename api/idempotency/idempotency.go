// Package idempotency lets a request that creates something be repeated under an
// Idempotency-Key.
package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	turnKey              = "turn"
)

// keptHeaders are those of an answer that a repeated request gets again.
var keptHeaders = []string{"Content-Type", router.HeaderPosition, "ETag", "Location", "Cache-Control"}

// keptAnswer is an answer as it is kept, sealed, under an Idempotency-Key.
type keptAnswer struct {
	Status int                 `json:"status"`
	Header map[string][]string `json:"header"`
	Body   []byte              `json:"body"`
}

// Keys are the keys that requests came with. Only answers of success are kept: a refusal may be
// different next time. An answer that says that we do not know (a wait for a read
// model that ran out, a lost commit) leaves open what has been made, so what
// repeats the request is given the same id.
//
// The answer is for a token with the same authority as the first one's; any
// other asks for something else under a key that is taken.
type Keys struct {
	keys   *ledger.IdempotencyKeys
	logger *slog.Logger
}

// New keeps answers under keys of the ledger's.
func New(keys *ledger.IdempotencyKeys, logger *slog.Logger) *Keys { return &Keys{keys, logger} }

// Steps are those of the repetitions that a route may ask for.
func (k *Keys) Steps() map[router.Repeat]router.Step {
	return map[router.Repeat]router.Step{router.Once: k.once, router.OnceSecret: k.onceSecret}
}

func (k *Keys) once(c *gin.Context) error { return k.keep(c, authority(access.Caller(c))) }

// onceSecret is once for what is answered with a secret: that is for tokens of the
// same credential alone.
func (k *Keys) onceSecret(c *gin.Context) error {
	caller := access.Caller(c)
	return k.keep(c, authority(caller)+" "+caller.CredentialID.String())
}

// authority is what a token may do, as words.
func authority(caller domain.Caller) string {
	return caller.Delegation.String() + " [" + caller.Scopes.String() + "]"
}

func (k *Keys) keep(c *gin.Context, authority string) error {
	key := c.GetHeader(headerIdempotencyKey)
	if key == "" {
		return nil
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return err
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
	words := c.Request.Method + " " + c.Request.URL.Path + " " + authority + "\n"
	request := sha256.Sum256(append([]byte(words), body...))

	original := c.Writer
	fresh := false
	kept, err := k.keys.Once(c.Request.Context(), access.Caller(c).AgentID, key, request,
		func(_ context.Context, turn ledger.Turn) ([]byte, ledger.Fate) {
			fresh = true
			c.Set(turnKey, turn)
			recorder := &recordingWriter{ResponseWriter: original}
			c.Writer = recorder
			c.Next()
			c.Writer = original
			return recorder.answer()
		})
	if fresh && original.Written() {
		c.Abort() // what was answered stands; at worst the key was not kept
		if err != nil {
			k.logger.WarnContext(c.Request.Context(), "idempotent answer not kept",
				"error", err, "requestId", router.RequestID(c), "method", c.Request.Method, "route", c.FullPath())
		}
		return nil
	}
	if err != nil {
		return err
	}
	return answerAgain(c, kept)
}

func answerAgain(c *gin.Context, kept []byte) error {
	var answer keptAnswer
	if err := json.Unmarshal(kept, &answer); err != nil {
		return err
	}
	maps.Copy(c.Writer.Header(), http.Header(answer.Header))
	c.Header("Idempotency-Replayed", "true")
	c.Status(answer.Status)
	_, _ = c.Writer.Write(answer.Body)
	c.Abort()
	return nil
}

// recordingWriter passes an answer on and keeps a copy.
type recordingWriter struct {
	gin.ResponseWriter
	body bytes.Buffer
}

func (w *recordingWriter) Write(p []byte) (int, error) {
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

func (w *recordingWriter) WriteString(p string) (int, error) { return w.Write([]byte(p)) }

func (w *recordingWriter) answer() (encoded []byte, fate ledger.Fate) {
	switch {
	case w.Status() >= http.StatusInternalServerError:
		return nil, ledger.Undecided
	case w.Status() >= http.StatusMultipleChoices:
		return nil, ledger.Undone
	}
	header := map[string][]string{}
	for _, name := range keptHeaders {
		if values := w.Header().Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	encoded, err := json.Marshal(keptAnswer{Status: w.Status(), Header: header, Body: w.body.Bytes()})
	if err != nil {
		return nil, ledger.Undecided
	}
	return encoded, ledger.Done
}

// NewID is the id for what this request makes: the same one when the request
// is repeated under its Idempotency-Key after a crash.
func NewID(c *gin.Context) uuid.UUID {
	if turn, given := c.Value(turnKey).(ledger.Turn); given {
		return turn.ID
	}
	return ledger.NewID()
}

// Again reports whether this request may have been done already, in an
// earlier turn at its Idempotency-Key.
func Again(c *gin.Context) bool {
	turn, _ := c.Value(turnKey).(ledger.Turn)
	return turn.Again
}

// Since is when this request's turn at its Idempotency-Key began, zero when
// it has none.
func Since(c *gin.Context) time.Time {
	turn, _ := c.Value(turnKey).(ledger.Turn)
	return turn.Since
}
