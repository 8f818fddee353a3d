package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/ledger"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	creationIDKey        = "creationID"
)

// keptHeaders are those of an answer that a repeated request gets again.
var keptHeaders = []string{"Content-Type", headerPosition, "ETag", "Location", "Cache-Control"}

// keptAnswer is an answer as it is kept, sealed, under an Idempotency-Key.
type keptAnswer struct {
	Status int                 `json:"status"`
	Header map[string][]string `json:"header"`
	Body   []byte              `json:"body"`
}

// idempotent lets a request that creates something be repeated under an
// Idempotency-Key. Only answers of success are kept: a refusal may be
// different next time.
func (s *Server) idempotent(c *gin.Context) {
	key := c.GetHeader(headerIdempotencyKey)
	if key == "" {
		return
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
	// With lent authority the same words are another request.
	words := c.Request.Method + " " + c.Request.URL.Path + " " + principal(c).Delegation.String() + "\n"
	request := sha256.Sum256(append([]byte(words), body...))

	original := c.Writer
	fresh := false
	kept, err := s.idempotency.Once(c.Request.Context(), principal(c).AgentID, key, request,
		func(_ context.Context, id uuid.UUID) ([]byte, bool) {
			fresh = true
			c.Set(creationIDKey, id)
			recorder := &recordingWriter{ResponseWriter: original}
			c.Writer = recorder
			c.Next()
			c.Writer = original
			return recorder.answer()
		})
	switch {
	case fresh && original.Written():
		c.Abort() // what was answered stands; at worst the key was not kept
		if err != nil {
			s.log(c, slog.LevelWarn, "idempotent answer not kept", err)
		}
	case err != nil:
		s.fail(c, err)
	default:
		s.answerAgain(c, kept)
	}
}

func (s *Server) answerAgain(c *gin.Context, kept []byte) {
	var answer keptAnswer
	if err := json.Unmarshal(kept, &answer); err != nil {
		s.fail(c, err)
		return
	}
	maps.Copy(c.Writer.Header(), http.Header(answer.Header))
	c.Header("Idempotency-Replayed", "true")
	c.Status(answer.Status)
	_, _ = c.Writer.Write(answer.Body)
	c.Abort()
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

func (w *recordingWriter) answer() (encoded []byte, keep bool) {
	if w.Status() >= http.StatusMultipleChoices {
		return nil, false
	}
	header := map[string][]string{}
	for _, name := range keptHeaders {
		if values := w.Header().Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	encoded, err := json.Marshal(keptAnswer{Status: w.Status(), Header: header, Body: w.body.Bytes()})
	return encoded, err == nil
}

// newID is the id for what this request makes: the same one when the request
// is repeated under its Idempotency-Key after a crash.
func newID(c *gin.Context) uuid.UUID {
	if id, given := c.Value(creationIDKey).(uuid.UUID); given {
		return id
	}
	return ledger.NewID()
}
