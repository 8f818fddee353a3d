package keyring

import (
	"bytes"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// set is the keys that are in use at a moment. It is never changed once others see it. A nil set is empty.
type set struct {
	keys      []*SigningKey // oldest first
	byID      map[string]*SigningKey
	published []byte // jwks, encoded
	lookedAt  time.Time
}

func newSet(lookedAt time.Time) *set {
	// Without its monotonic reading, which stands still while a machine sleeps.
	return &set{byID: map[string]*SigningKey{}, lookedAt: lookedAt.Round(0)}
}

func (s *set) add(key *SigningKey) {
	s.keys = append(s.keys, key)
	s.byID[key.kid] = key
}

func (s *set) all() []*SigningKey {
	if s == nil {
		return nil
	}
	return s.keys
}

func (s *set) at() time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.lookedAt
}

func (s *set) find(kid string) (*SigningKey, bool) {
	if s == nil {
		return nil, false
	}
	key, ok := s.byID[kid]
	return key, ok
}

// open gives the key of a row, from the set where it is the same there.
func (s *set) open(master *MasterKey, row StoredKey) (*SigningKey, error) {
	if known, ok := s.find(row.KID); ok && known.alg == row.Alg && known.VerifyOnly() == row.VerifyOnly && bytes.Equal(known.sealed, row.sealed) {
		return known, nil
	}
	return row.open(master)
}

func (s *set) current(alg string) (newest *SigningKey, ok bool) {
	for _, key := range s.all() {
		if key.state == Current && key.alg == alg && key.private != nil {
			newest = key
		}
	}
	return newest, newest != nil
}

func (s *set) newestCurrent() (newest *SigningKey, ok bool) {
	for _, key := range s.all() {
		if key.state == Current && key.private != nil {
			newest = key
		}
	}
	return newest, newest != nil
}

func (s *set) jwks() jose.JSONWebKeySet {
	keys := s.all()
	public := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(keys))}
	for i, key := range keys {
		public.Keys[i] = key.jwk()
	}
	return public
}
