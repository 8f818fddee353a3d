package domain

import (
	"slices"
	"time"
)

// SigningKeyState is where a signing key is in its life. It only ever goes on in this order.
type SigningKeyState string

// A key may skip steps, never go back.
const (
	KeyPublished SigningKeyState = "published" // in the JWKS; signs nothing yet
	KeyCurrent   SigningKeyState = "current"   // signs
	KeyRetired   SigningKeyState = "retired"   // in the JWKS; signs no more
	KeyGone      SigningKeyState = "gone"      // destroyed
)

// KeyVerifiesFor is how long a retired key stays published: a day longer than any
// token lives that it has signed.
const KeyVerifiesFor = 24*time.Hour + TokenLifetime

// SigningKeys is the life of all keys that sign tokens. They are one aggregate, so that
// of two servers that rotate at the same moment one makes a key. Of each algorithm one
// key is current at most.
type SigningKeys struct {
	Keys []SigningKey `json:"keys"` // oldest first, those that are gone included: no key comes back
}

// SigningKey is one of them.
type SigningKey struct {
	KeyID       string          `json:"kid"`
	Algorithm   string          `json:"alg"`
	State       SigningKeyState `json:"state"`
	Since       time.Time       `json:"since"` // it is in that state
	PublishedAt time.Time       `json:"publishedAt"`
	VerifyOnly  bool            `json:"verifyOnly,omitempty"`
}

// Waits reports whether the key is published and is going to sign.
func (k SigningKey) Waits() bool { return k.State == KeyPublished && !k.VerifyOnly }

// GoneAt is when a retired key has been published for long enough.
func (k SigningKey) GoneAt() time.Time { return k.Since.Add(KeyVerifiesFor) }

// Find finds a key by its id.
func (s SigningKeys) Find(kid string) (SigningKey, bool) {
	i := s.index(kid)
	if i < 0 {
		return SigningKey{}, false
	}
	return s.Keys[i], true
}

// Current is the key that signs with an algorithm.
func (s SigningKeys) Current(algorithm string) (SigningKey, bool) {
	return s.first(func(k SigningKey) bool { return k.State == KeyCurrent && k.Algorithm == algorithm })
}

// Waiting is the key that is going to be the current one of an algorithm.
func (s SigningKeys) Waiting(algorithm string) (SigningKey, bool) {
	return s.first(func(k SigningKey) bool { return k.Waits() && k.Algorithm == algorithm })
}

// LastPublished is when a key was published last, the zero time if none ever was.
func (s SigningKeys) LastPublished() (last time.Time) {
	for _, k := range s.Keys {
		if k.PublishedAt.After(last) {
			last = k.PublishedAt
		}
	}
	return last
}

// noneSigns reports whether no key of any algorithm is current, as before the first one.
func (s SigningKeys) noneSigns() bool {
	_, signs := s.first(func(k SigningKey) bool { return k.State == KeyCurrent })
	return !signs
}

func (s SigningKeys) first(is func(SigningKey) bool) (SigningKey, bool) {
	i := slices.IndexFunc(s.Keys, is)
	if i < 0 {
		return SigningKey{}, false
	}
	return s.Keys[i], true
}

func (s SigningKeys) index(kid string) int {
	return slices.IndexFunc(s.Keys, func(k SigningKey) bool { return k.KeyID == kid })
}

// Evolve applies a fact. A key whose creation is not on record here, as of a version
// that kept no states, begins with the first that is told of it.
func (s SigningKeys) Evolve(event Event, at time.Time) SigningKeys {
	switch e := event.(type) {
	case SigningKeyCreated:
		if s.index(e.KeyID) < 0 {
			s = s.moved(e.KeyID, e.Algorithm, KeyPublished, at)
			s.Keys[len(s.Keys)-1].VerifyOnly = e.VerifyOnly
		}
	case SigningKeyActivated:
		published := at
		if e.ServedSince != nil {
			published = *e.ServedSince
		}
		if s.index(e.KeyID) < 0 {
			s = s.moved(e.KeyID, e.Algorithm, KeyPublished, published)
		}
		s = s.moved(e.KeyID, e.Algorithm, KeyCurrent, at)
	case SigningKeyRetired:
		s = s.moved(e.KeyID, e.Algorithm, KeyRetired, at)
	case SigningKeyRemoved:
		s = s.moved(e.KeyID, e.Algorithm, KeyGone, at)
	}
	return s
}

// moved is the keys with one of them in another state. A key that is in it stays since when it was.
func (s SigningKeys) moved(kid, algorithm string, state SigningKeyState, at time.Time) SigningKeys {
	s.Keys = slices.Clone(s.Keys) // states are shared
	i := s.index(kid)
	if i < 0 {
		s.Keys = append(s.Keys, SigningKey{KeyID: kid, Algorithm: algorithm, State: state, Since: at, PublishedAt: at})
		return s
	}
	if s.Keys[i].State != state {
		s.Keys[i].State, s.Keys[i].Since = state, at
	}
	return s
}
