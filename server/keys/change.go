package keys

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
)

// Rotate publishes another key of an algorithm and gives its id. It signs when its lead
// is over; now means at once, and has a key sign that waits already. The error is a
// [domain.Error] where it is refused.
func (k *Keeper) Rotate(ctx context.Context, alg string, now bool) (kid string, err error) {
	v, err := k.look(ctx)
	if err != nil {
		return "", err
	}
	if waiting, waits := v.keys.Waiting(alg); now && waits {
		_, err := k.change(ctx, v, domain.ActivateSigningKey{KeyID: waiting.KeyID, Now: true, At: k.Now()})
		return waiting.KeyID, err
	}
	if !now {
		if err := v.keys.MayPublish(domain.SigningKeyCreated{Algorithm: alg}, k.Now(), k.Timing.Spacing); err != nil {
			return "", err // before a key is made for nothing
		}
	}
	key, err := keyring.Generate(alg)
	if err != nil {
		return "", err
	}
	return key.ID(), k.publish(ctx, v, key, now)
}

// Import publishes a key that was made elsewhere, see [keyring.Import]. It signs when its
// lead is over, or never if it only verifies.
func (k *Keeper) Import(ctx context.Context, key *keyring.SigningKey) error {
	v, err := k.look(ctx)
	if err != nil {
		return err
	}
	return k.publish(ctx, v, key, false)
}

// publish stores a key and puts it on record. The table comes first: a key that is on
// record can be used. A key that was stored and then refused is deleted again, by the
// servers if this process does not live to do it.
func (k *Keeper) publish(ctx context.Context, v view, key *keyring.SigningKey, now bool) error {
	created, err := creation(key)
	if err != nil {
		return err
	}
	current, _ := v.keys.Current(key.Algorithm())
	command := domain.PublishSigningKey{Key: created, At: k.Now(), Spacing: k.Timing.Spacing, Now: now, Replaces: current.KeyID}
	if _, err := v.keys.Decide(command); err != nil {
		return err
	}
	if err := k.ring.Store(ctx, k.pool, key); err != nil {
		return err
	}
	_, err = k.change(ctx, v, command)
	return k.withdraw(ctx, key.ID(), err)
}

// withdraw deletes a key again that was refused.
func (k *Keeper) withdraw(ctx context.Context, kid string, err error) error {
	if errors.As(err, new(*domain.Error)) {
		return errors.Join(err, keyring.Destroy(ctx, k.pool, kid))
	}
	return err // whether it is on record is unknown, or it is
}

func creation(key *keyring.SigningKey) (domain.SigningKeyCreated, error) {
	public, err := key.JWK().MarshalJSON()
	return domain.SigningKeyCreated{KeyID: key.ID(), Algorithm: key.Algorithm(), PublicKey: public, VerifyOnly: key.VerifyOnly()}, err
}

// Retire has a key sign no more. At once, its tokens end and it is destroyed; a key that
// signs gets a successor, whose id is given.
func (k *Keeper) Retire(ctx context.Context, kid string, atOnce bool) (successor string, err error) {
	v, err := k.look(ctx)
	if err != nil {
		return "", err
	}
	command := domain.RetireSigningKey{KeyID: kid, AtOnce: atOnce}
	key, found := v.keys.Find(kid)
	command.Needed = found && key.Algorithm == k.Algorithm
	if _, waits := v.keys.Waiting(key.Algorithm); atOnce && key.State == domain.KeyCurrent && !waits {
		next, err := keyring.Generate(key.Algorithm)
		if err != nil {
			return "", err
		}
		if command.Successor, err = creation(next); err != nil {
			return "", err
		}
		if err := k.ring.Store(ctx, k.pool, next); err != nil {
			return "", err
		}
		defer func() { err = k.withdraw(context.WithoutCancel(ctx), next.ID(), err) }()
	}
	events, err := k.change(ctx, v, command)
	if err != nil {
		return "", err
	}
	for _, event := range events {
		switch e := event.(type) {
		case domain.SigningKeyActivated:
			if e.Algorithm == key.Algorithm {
				successor = e.KeyID // the last of several
			}
		case domain.SigningKeyRemoved:
			err = keyring.Destroy(ctx, k.pool, e.KeyID)
		}
	}
	return successor, err
}

// Listed is a key and what happens to it next.
type Listed struct {
	domain.SigningKey
	Next   string    // in words
	NextAt time.Time // zero where nobody knows yet, or nothing happens by itself
}

// List gives the keys that there are, those apart that are gone.
func (k *Keeper) List(ctx context.Context) ([]Listed, error) {
	v, err := k.look(ctx)
	if err != nil {
		return nil, err
	}
	var listed []Listed
	for _, key := range v.keys.Keys {
		row, stored := v.row(key.KeyID)
		if key.State == domain.KeyGone || !stored {
			continue
		}
		listed = append(listed, k.next(v, key, row))
	}
	return listed, nil
}

func (k *Keeper) next(v view, key domain.SigningKey, row keyring.StoredKey) Listed {
	l := Listed{SigningKey: key}
	waiting, replaced := v.keys.Waiting(key.Algorithm)
	switch {
	case key.VerifyOnly && key.State == domain.KeyPublished:
		l.Next = "none: it only verifies, until it is retired"
	case key.State == domain.KeyPublished && row.ServedAt.IsZero():
		l.Next = "signs " + k.Timing.Lead.String() + " after every server serves it"
	case key.State == domain.KeyPublished:
		l.Next, l.NextAt = "signs", row.ServedAt.Add(k.Timing.Lead)
	case key.State == domain.KeyCurrent && replaced:
		l.Next = "retires when " + waiting.KeyID + " signs"
	case key.State == domain.KeyCurrent:
		l.Next, l.NextAt = "another is published", key.PublishedAt.Add(k.Timing.MaxAge)
	case key.State == domain.KeyRetired:
		l.Next, l.NextAt = "gone", key.GoneAt()
	}
	return l
}
