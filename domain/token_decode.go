package domain

import (
	"bytes"
	"time"

	"github.com/google/uuid"
)

// decodeTokenIssued is decodeAs for the event that nearly all of a ledger
// consists of. Written as [Encode] writes it, without a delegation, it is read
// in a fraction of the time; in any other form as everything else is.
func decodeTokenIssued(data []byte) (Event, error) {
	if e, ok := readTokenIssued(data); ok {
		return e, nil
	}
	return decodeAs[TokenIssued](data)
}

// readTokenIssued reads the plain form: all fields in their order, no white
// space, nothing escaped, nothing but ASCII.
func readTokenIssued(data []byte) (e TokenIssued, ok bool) {
	r := plainReader{rest: data}
	e.AgentID.UUID = r.id(`{"agentId":"`)
	e.TokenID.UUID = r.id(`","jti":"`)
	e.CredentialID.UUID = r.id(`","credentialId":"`)
	e.AuthMethod = CredentialKind(r.text(`","authMethod":"`))
	e.Scope = r.text(`","scope":"`)
	e.Audience = r.text(`","audience":"`)
	e.Algorithm = r.text(`","alg":"`)
	e.KeyID = r.text(`","kid":"`)
	e.ExpiresAt = r.time(`","expiresAt":"`)
	return e, !r.failed && string(r.rest) == `"}`
}

// IssuedUnder is whose token a "token.issued" of schema 1 tells of, and under
// which credential it was issued, where the data is plain: see readTokenIssued.
// It allocates nothing. Anything else is for [Decode].
func IssuedUnder(data []byte) (agent AgentID, credential CredentialID, plain bool) {
	r := plainReader{rest: data}
	agent.UUID = r.id(`{"agentId":"`)
	r.value(`","jti":"`)
	credential.UUID = r.id(`","credentialId":"`)
	for _, before := range [...]string{
		`","authMethod":"`, `","scope":"`, `","audience":"`, `","alg":"`, `","kid":"`, `","expiresAt":"`,
	} {
		r.value(before)
	}
	return agent, credential, !r.failed && string(r.rest) == `"}`
}

// plainReader reads an object's fields one after another, each from after what
// stands before it. Once something is otherwise it has failed for good.
type plainReader struct {
	rest   []byte
	failed bool
}

// value is what stands between before and the next quote.
func (r *plainReader) value(before string) []byte {
	if r.failed || !bytes.HasPrefix(r.rest, []byte(before)) {
		r.failed = true
		return nil
	}
	r.rest = r.rest[len(before):]
	for i, b := range r.rest {
		switch {
		case b == '"':
			value := r.rest[:i]
			r.rest = r.rest[i:]
			return value
		case b == '\\', b < ' ', b > '~':
			r.failed = true
			return nil
		}
	}
	r.failed = true
	return nil
}

func (r *plainReader) text(before string) string { return string(r.value(before)) }

func (r *plainReader) id(before string) (id uuid.UUID) {
	if err := id.UnmarshalText(r.value(before)); err != nil {
		r.failed = true
	}
	return id
}

func (r *plainReader) time(before string) (t time.Time) {
	if err := t.UnmarshalText(r.value(before)); err != nil {
		r.failed = true
	}
	return t
}
