package domain

import (
	"slices"
	"time"
)

// StoredSigningKey is a key as its table has it, where versions that recorded no states
// say by a column whether it signs.
type StoredSigningKey struct {
	KeyID     string
	Algorithm string
	CreatedAt time.Time
	Signs     bool
}

// Adopt gives the facts about keys that sign by the table and are not on record: those
// made by versions that recorded no states. Of several that sign with an algorithm the
// newest is current.
func (s SigningKeys) Adopt(stored []StoredSigningKey) []Event {
	facts, _ := s.adopt(stored)
	return facts
}

// With is the keys with those that are stored and not on record.
func (s SigningKeys) With(stored []StoredSigningKey) SigningKeys {
	_, all := s.adopt(stored)
	return all
}

func (s SigningKeys) adopt(stored []StoredSigningKey) (facts []Event, all SigningKeys) {
	stored = slices.Clone(stored)
	slices.SortStableFunc(stored, func(a, b StoredSigningKey) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, key := range stored {
		if _, known := s.Find(key.KeyID); known || !key.Signs {
			continue
		}
		for _, fact := range s.succeed(key.KeyID, key.Algorithm, &key.CreatedAt) {
			facts = append(facts, fact)
			s = s.Evolve(fact, key.CreatedAt)
		}
	}
	return facts, s
}

// succeed makes a key the current one of its algorithm, in the place of the one that is.
func (s SigningKeys) succeed(kid, algorithm string, servedSince *time.Time) (facts []Event) {
	if old, signs := s.Current(algorithm); signs && old.KeyID != kid {
		facts = append(facts, SigningKeyRetired{KeyID: old.KeyID, Algorithm: algorithm})
	}
	return append(facts, SigningKeyActivated{KeyID: kid, Algorithm: algorithm, ServedSince: servedSince})
}

// SigningKeyCommand is something to be decided on.
type SigningKeyCommand interface {
	decide(keys SigningKeys) ([]Event, error)
}

// Decide gives what a command leads to.
func (s SigningKeys) Decide(c SigningKeyCommand) ([]Event, error) { return c.decide(s) }

// PublishSigningKey puts a key into the JWKS. The first of all keys signs at once.
type PublishSigningKey struct {
	Key     SigningKeyCreated
	At      time.Time
	Spacing time.Duration // from one publication to the next, at least
	// Now: it signs at once, at whatever distance from the key before, and in the place of
	// the one with this id, "" where none signs: of two who replace it one does.
	Now      bool
	Replaces string
}

func (c PublishSigningKey) decide(s SigningKeys) ([]Event, error) {
	if known, found := s.Find(c.Key.KeyID); found {
		return nil, Refuse(CodeConflict, "the key %s is known: it is %s, and no key begins again", known.KeyID, known.State)
	}
	now := c.Now || s.noneSigns()
	if current, _ := s.Current(c.Key.Algorithm); c.Now && current.KeyID != c.Replaces {
		return nil, Refuse(CodeConflict, "the key %s has become the current one meanwhile", current.KeyID)
	}
	if !now {
		if err := s.MayPublish(c.Key, c.At, c.Spacing); err != nil {
			return nil, err
		}
	}
	facts := []Event{c.Key}
	if now && !c.Key.VerifyOnly {
		facts = append(facts, s.succeed(c.Key.KeyID, c.Key.Algorithm, nil)...)
	}
	return facts, nil
}

// MayPublish refuses a key that comes too soon after another (clients look for new keys
// once in five minutes), or that would wait beside another of its algorithm.
func (s SigningKeys) MayPublish(key SigningKeyCreated, at time.Time, spacing time.Duration) error {
	if waiting, waits := s.Waiting(key.Algorithm); waits && !key.VerifyOnly {
		return Refuse(CodeConflict, "the %s key %s is published and waits for its first use: there is nothing to make", key.Algorithm, waiting.KeyID)
	}
	if next := s.LastPublished().Add(spacing); at.Before(next) {
		return Refuse(CodeConflict, "a key was published less than %s ago: clients would not see this one; try again at %s",
			spacing, next.UTC().Format(time.RFC3339))
	}
	return nil
}

// ActivateSigningKey lets a published key sign.
type ActivateSigningKey struct {
	KeyID       string
	ServedSince time.Time // every live server has it in its JWKS
	Lead        time.Duration
	At          time.Time
	Now         bool // without waiting for any of that
}

func (c ActivateSigningKey) decide(s SigningKeys) ([]Event, error) {
	key, found := s.Find(c.KeyID)
	switch {
	case !found:
		return nil, noSuchKey(c.KeyID)
	case key.State == KeyCurrent:
		return nil, nil
	case !key.Waits():
		return nil, Refuse(CodeConflict, "the key %s is %s and never signs again", key.KeyID, key.lot())
	case c.Now:
		return s.succeed(key.KeyID, key.Algorithm, nil), nil
	case c.ServedSince.IsZero() || c.At.Sub(c.ServedSince) < c.Lead:
		return nil, Refuse(CodeConflict, "the key %s signs no sooner than %s after every server serves it", key.KeyID, c.Lead)
	}
	return s.succeed(key.KeyID, key.Algorithm, &c.ServedSince), nil
}

// lot is the state of a key in words that also tell of one that only verifies.
func (k SigningKey) lot() string {
	if k.VerifyOnly && k.State == KeyPublished {
		return "for verifying alone"
	}
	return string(k.State)
}

func noSuchKey(kid string) error {
	return Refuse(CodeNotFound, "there is no signing key %q: agentidp keys list shows those that there are", kid)
}

// RetireSigningKey has a key sign no more. At once, its tokens end too, and the key is
// destroyed; if it is the current one, the key that waits takes its place, or else the
// successor.
type RetireSigningKey struct {
	KeyID     string
	AtOnce    bool
	Needed    bool              // tokens are signed with its algorithm
	Successor SigningKeyCreated // for AtOnce
}

func (c RetireSigningKey) decide(s SigningKeys) ([]Event, error) {
	key, found := s.Find(c.KeyID)
	if !found || key.State == KeyGone {
		return nil, noSuchKey(c.KeyID)
	}
	if !c.AtOnce {
		switch {
		case key.State == KeyRetired:
			return nil, nil
		case key.State == KeyCurrent && c.Needed:
			return nil, Refuse(CodeConflict, "tokens are signed with the key %s: agentidp keys rotate puts another in its place; --at-once ends its tokens", key.KeyID)
		}
		return []Event{SigningKeyRetired{KeyID: key.KeyID, Algorithm: key.Algorithm}}, nil
	}
	facts := []Event{
		SigningKeyRetired{KeyID: key.KeyID, Algorithm: key.Algorithm, AtOnce: true},
		SigningKeyRemoved{KeyID: key.KeyID, Algorithm: key.Algorithm},
	}
	if key.State != KeyCurrent {
		return facts, nil
	}
	if waiting, waits := s.Waiting(key.Algorithm); waits {
		return append(facts, SigningKeyActivated{KeyID: waiting.KeyID, Algorithm: key.Algorithm}), nil
	}
	return append(facts, c.Successor, SigningKeyActivated{KeyID: c.Successor.KeyID, Algorithm: key.Algorithm}), nil
}

// RemoveSigningKey ends the time in which a retired key verifies.
type RemoveSigningKey struct {
	KeyID string
	At    time.Time
	Lost  bool // it is stored no more, as after agentidp tokens end: it can do nothing, whatever its state
}

func (c RemoveSigningKey) decide(s SigningKeys) ([]Event, error) {
	key, found := s.Find(c.KeyID)
	switch {
	case !found:
		return nil, noSuchKey(c.KeyID)
	case key.State == KeyGone:
		return nil, nil
	case !c.Lost && (key.State != KeyRetired || c.At.Before(key.GoneAt())):
		return nil, Refuse(CodeConflict, "the key %s still verifies tokens", key.KeyID)
	}
	return []Event{SigningKeyRemoved{KeyID: key.KeyID, Algorithm: key.Algorithm}}, nil
}
