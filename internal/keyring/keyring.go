package keyring

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The JWS algorithms (RFC 7518 section 3.1) that a Keyring has keys for.
const (
	RS256 = "RS256" // RSA of 2048 bits at least, PKCS #1 v1.5, SHA-256
	ES256 = "ES256" // P-256, SHA-256
)

// Algorithms lists them.
func Algorithms() []string { return []string{RS256, ES256} }

// Keyring is the master key and the signing keys of a database, as they were when they
// were last looked at. It is safe for concurrent use.
type Keyring struct {
	*MasterKey
	keys    atomic.Pointer[set] // replaced as a whole; nil where there are none
	using   sync.Mutex          // held while that is done
	looker  Looker              // nil: the keys stay as they are
	created []PublicKey
}

// State is what a key may be used for.
type State string

// A key of any other state is not used at all.
const (
	Published State = "published" // verifies, and will sign
	Current   State = "current"   // signs
	Retired   State = "retired"   // verifies what it has signed
)

// PublicKey is the public half of a signing key.
type PublicKey struct {
	KID       string // RFC 7638 thumbprint of JWK
	Alg       string
	JWK       jose.JSONWebKey
	CreatedAt time.Time
	State     State
}

// Looker has the keys looked at again, and hands what there is to [Keyring.Use].
type Looker interface {
	// Look returns when the keys are as they were at a moment, or later.
	Look(ctx context.Context, asOf time.Time) error
	// Limits are how old what is known may be: when it is looked at again before it is
	// answered with, and when it is not answered with at all.
	Limits() (again, useless time.Duration)
}

// Open loads the master key from masterKeyFile and the signing keys from table signing_keys, whose rows pool's role
// may select and insert. On a database where no key signs it makes one per algorithm, and the master key file too if there is
// none; servers that start at the same moment end up with the same keys.
//
// Where signing keys exist, the master key file must be the one they were sealed under: another one gives
// ErrWrongMasterKey, and a missing one is an error and is not made.
//
// Until [Keyring.Use] says otherwise, of each algorithm the newest key is current that signs by the table.
func Open(ctx context.Context, pool *pgxpool.Pool, masterKeyFile string) (*Keyring, error) {
	// Rows are looked for before the file: whoever wrote them had the file first, so a file that is missing now is lost.
	used, err := hasKeys(ctx, pool)
	if err != nil {
		return nil, err
	}
	load := LoadOrCreateMasterKey
	if used {
		load = LoadMasterKey
	}
	master, err := load(masterKeyFile)
	if err != nil {
		if used {
			return nil, fmt.Errorf("the database holds keys sealed under a master key that must be restored: %w", err)
		}
		return nil, err
	}
	stored, created, err := loadOrCreateKeys(ctx, pool, master)
	if err != nil {
		return nil, err
	}
	states, newest := map[string]State{}, map[string]string{}
	for _, key := range stored { // oldest first
		states[key.KID] = Retired
		if key.Signs() {
			states[key.KID], newest[key.Alg] = Published, key.KID
		}
	}
	for _, kid := range newest {
		states[kid] = Current
	}
	k := &Keyring{MasterKey: master}
	if err := k.Use(stored, states, time.Now()); err != nil {
		return nil, err
	}
	for _, key := range k.PublicKeys() {
		if created[key.KID] {
			k.created = append(k.created, key)
		}
	}
	return k, nil
}

// Created gives the keys that this Open made, none after the first start. Whoever records them must allow for a crash
// in between: [Keyring.PublicKeys] has them at every start.
func (k *Keyring) Created() []PublicKey { return k.created }

// Keep has the keys looked at again where that is needed. Call it before the keyring is used.
func (k *Keyring) Keep(looker Looker) { k.looker = looker }

// Use has the keyring use what is stored in the states that are given, from now on. A key without one of [Published],
// [Current] and [Retired] is not used. On an error, which says what does not open, all stays as it was, as it does where
// the keys have been looked at later already.
func (k *Keyring) Use(stored []StoredKey, states map[string]State, lookedAt time.Time) error {
	k.using.Lock()
	defer k.using.Unlock()
	before, next := k.keys.Load(), newSet(lookedAt)
	if before.at().After(next.at()) {
		return nil
	}
	for _, row := range stored {
		state, used := states[row.KID]
		if !used {
			continue
		}
		key, err := before.open(k.MasterKey, row)
		if err != nil {
			return err
		}
		next.add(key.in(state))
	}
	var err error
	if next.published, err = json.Marshal(next.jwks()); err != nil {
		return err
	}
	k.keys.Store(next)
	return nil
}

// PublicKeys gives all keys, oldest first.
func (k *Keyring) PublicKeys() []PublicKey {
	keys := k.keys.Load().all()
	public := make([]PublicKey, len(keys))
	for i, key := range keys {
		public[i] = key.publicKey()
	}
	return public
}

// PublicKey gives the key to verify a signature with, and the one algorithm it may be used for.
func (k *Keyring) PublicKey(kid string) (key crypto.PublicKey, alg string, ok bool) {
	found, ok := k.keys.Load().find(kid)
	if !ok {
		return nil, "", false
	}
	return found.public, found.alg, true
}

// Find is PublicKey, but looks again before it says that there is no such key: another server may have begun to sign
// with one that this one has not seen. The error is ErrStale: nobody knows.
func (k *Keyring) Find(ctx context.Context, kid string) (key crypto.PublicKey, alg string, ok bool, err error) {
	const thumbprintSize = 43 // in base64url; whatever else is no id of ours
	if key, alg, ok = k.PublicKey(kid); ok || len(kid) != thumbprintSize || k.looker == nil {
		return key, alg, ok, nil
	}
	if err := k.looker.Look(ctx, time.Now()); err != nil {
		return nil, "", false, fmt.Errorf("%w: %w", ErrStale, err)
	}
	key, alg, ok = k.PublicKey(kid)
	return key, alg, ok, nil
}

// JWKS is the public key set (RFC 7517 section 5), oldest key first, retired ones included.
func (k *Keyring) JWKS() jose.JSONWebKeySet { return k.keys.Load().jwks() }

// Published gives [Keyring.JWKS] encoded. It looks again where that was not done for long, as after this process was
// frozen, and is [ErrStale] where tokens may be out under keys that are not known here.
func (k *Keyring) Published(ctx context.Context) ([]byte, error) {
	if k.looker != nil {
		if again, _ := k.looker.Limits(); time.Since(k.keys.Load().at()) > again {
			const patience = 500 * time.Millisecond // what is known may do
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			_ = k.looker.Look(ctx, time.Now().Add(-again)) // told by who looks all the time
		}
	}
	if err := k.fresh(); err != nil {
		return nil, err
	}
	return k.keys.Load().published, nil
}

// fresh is ErrStale where what is known is too old for use.
func (k *Keyring) fresh() error {
	if k.looker == nil {
		return nil
	}
	if _, useless := k.looker.Limits(); time.Since(k.keys.Load().at()) > useless {
		return ErrStale
	}
	return nil
}

// Current gives the key that signs with alg now; ErrUnknownAlgorithm if none does. Who records which key signed takes it
// once, for the record and the signature.
func (k *Keyring) Current(alg string) (*SigningKey, error) {
	if err := k.fresh(); err != nil {
		return nil, err
	}
	current, ok := k.keys.Load().current(alg)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownAlgorithm, alg)
	}
	return current, nil
}

// Signing is Current, or the newest key that signs with another algorithm while there is none for alg: a key of
// another algorithm is published before it signs.
func (k *Keyring) Signing(alg string) (*SigningKey, error) {
	key, err := k.Current(alg)
	if errors.Is(err, ErrUnknownAlgorithm) {
		if other, ok := k.keys.Load().newestCurrent(); ok {
			return other, nil
		}
	}
	return key, err
}
