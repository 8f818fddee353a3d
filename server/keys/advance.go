package keys

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/internal/wait"
)

// Begin has this process serve the keys as they are, and counts it among the servers:
// call it before it answers anybody. The keys are looked at again after that, so that it
// has each that somebody did not wait for it with. With force another key is
// published, unless one waits already.
func (k *Keeper) Begin(ctx context.Context, force bool) error {
	if err := k.Look(ctx, time.Now()); err != nil {
		return err
	}
	if err := k.serve(ctx); err != nil {
		return err
	}
	if err := k.Look(ctx, time.Now()); err != nil {
		return err
	}
	if !force {
		return nil
	}
	kid, err := k.Rotate(ctx, k.Algorithm, false)
	if refused, ok := errors.AsType[*domain.Error](err); ok {
		k.Logger.InfoContext(ctx, "OIDC_FORCE_KEY_ROTATION publishes no other signing key", "reason", refused.Message)
		return nil
	}
	if err == nil {
		k.Logger.InfoContext(ctx, "another signing key is published", "kid", kid)
	}
	return err
}

// Run keeps the keys until ctx ends: it looks at them, says which this process serves,
// and takes the steps that are due. Every server does, and what two of them do at the
// same moment is decided once, by the ledger.
func (k *Keeper) Run(ctx context.Context) {
	defer func() {
		const patience = 2 * time.Second
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if err := k.leave(ctx); err != nil {
			k.Logger.WarnContext(ctx, "other servers wait some seconds longer for this one's signing keys", "error", err)
		}
	}()
	var told string
	for wait.For(ctx, wait.Jitter(k.Timing.Poll)) == nil {
		err := k.tend(ctx)
		if text := textOf(err); text != told && ctx.Err() == nil { // not each second
			told = text
			if err != nil {
				k.Logger.WarnContext(ctx, "the signing keys cannot be tended; it will be tried again", "error", err)
			}
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (k *Keeper) tend(ctx context.Context) error {
	v, err := k.look(ctx)
	if err != nil {
		return err
	}
	if err := k.serve(ctx); err != nil {
		return err
	}
	return errors.Join(k.recordNews(ctx, v), k.activateDue(ctx, v), k.endDue(ctx, v), k.publishDue(ctx, v), k.tidy(ctx, v))
}

// recordNews puts keys on record that a server of an older version has made.
func (k *Keeper) recordNews(ctx context.Context, v view) error {
	if !v.news {
		return nil
	}
	return k.ledger.AdoptSigningKeys(ctx, byTable(v.stored))
}

// activateDue lets keys sign whose lead is over.
func (k *Keeper) activateDue(ctx context.Context, v view) error {
	for _, key := range v.keys.Keys {
		row, stored := v.row(key.KeyID)
		if !key.Waits() || !stored {
			continue
		}
		served, err := k.everyoneServes(ctx, key.KeyID)
		if err != nil {
			return err
		}
		now := k.Now()
		switch {
		case !served:
		case row.ServedAt.IsZero():
			if err := k.markServed(ctx, key.KeyID, now); err != nil {
				return err
			}
		case now.Sub(row.ServedAt) >= k.Timing.Lead:
			err := k.step(ctx, v, domain.ActivateSigningKey{KeyID: key.KeyID, ServedSince: row.ServedAt.UTC(), Lead: k.Timing.Lead, At: now},
				"a signing key is in use from now on", key.KeyID)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// endDue removes keys that have verified for long enough, and those that are stored no
// more.
func (k *Keeper) endDue(ctx context.Context, v view) error {
	now := k.Now()
	for _, key := range v.keys.Keys {
		_, stored := v.row(key.KeyID)
		over := key.State == domain.KeyRetired && !now.Before(key.GoneAt())
		if key.State == domain.KeyGone || stored && !over {
			continue
		}
		if err := k.step(ctx, v, domain.RemoveSigningKey{KeyID: key.KeyID, At: now, Lost: !stored}, "a signing key is gone", key.KeyID); err != nil {
			return err
		}
	}
	return nil
}

// publishDue publishes a key where the current one is old, and where there is none that
// tokens can be signed with as configured.
func (k *Keeper) publishDue(ctx context.Context, v view) error {
	now := k.Now()
	for _, alg := range keyring.Algorithms() {
		current, signs := v.keys.Current(alg)
		old := signs && now.Sub(current.PublishedAt) >= k.Timing.MaxAge
		missing := !signs && alg == k.Algorithm
		if !old && !missing || v.keys.MayPublish(domain.SigningKeyCreated{Algorithm: alg}, now, k.Timing.Spacing) != nil {
			continue
		}
		kid, err := k.Rotate(ctx, alg, false)
		if errors.As(err, new(*domain.Error)) { // another server has done it
			return nil
		}
		if err != nil {
			return err
		}
		k.Logger.InfoContext(ctx, "another signing key is published", "kid", kid, "alg", alg)
	}
	return nil
}

// step takes one that is due. Another server may have taken it.
func (k *Keeper) step(ctx context.Context, v view, command domain.SigningKeyCommand, told, kid string) error {
	events, err := k.change(ctx, v, command)
	if err == nil && len(events) > 0 {
		k.Logger.InfoContext(ctx, told, "kid", kid)
	}
	if errors.As(err, new(*domain.Error)) {
		return nil
	}
	return err
}

// tidy brings the table in line with the ledger: keys that are gone are destroyed, so is
// what nobody got as far as to put on record, and older versions are told what signs.
func (k *Keeper) tidy(ctx context.Context, v view) error {
	const unrecorded = 10 * time.Minute
	for _, row := range v.stored {
		key, known := v.keys.Find(row.KID)
		var err error
		switch signs := key.State == domain.KeyCurrent; {
		case key.State == domain.KeyGone, !known && time.Since(row.CreatedAt) > unrecorded:
			err = keyring.Destroy(ctx, k.pool, row.KID)
		case known && signs != row.Signs():
			err = keyring.Mirror(ctx, k.pool, row.KID, signs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
