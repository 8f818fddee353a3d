package keyring

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The JWS algorithms (RFC 7518 section 3.1) that a Keyring has keys for.
const (
	RS256 = "RS256" // RSA-2048, PKCS #1 v1.5, SHA-256
	ES256 = "ES256" // P-256, SHA-256
)

var algorithms = []string{RS256, ES256}

// Keyring is the master key and the signing keys of a database. It is immutable and safe for concurrent use.
type Keyring struct {
	*MasterKey
	keys    []*SigningKey // oldest first
	byID    map[string]*SigningKey
	current map[string]*SigningKey // by algorithm: the newest that is not retired
	created []PublicKey
}

// PublicKey is the public half of a signing key.
type PublicKey struct {
	KID       string // RFC 7638 thumbprint of JWK
	Alg       string
	JWK       jose.JSONWebKey
	CreatedAt time.Time
	Retired   bool // still verifies, signs no more
}

// Open loads the master key from masterKeyFile and the signing keys from table signing_keys, whose rows pool's role
// may select and insert. On a database without keys it makes one per algorithm, and the master key file too if there is
// none; servers that start at the same moment end up with the same keys.
//
// Where signing keys exist, the master key file must be the one they were sealed under: another one gives
// ErrWrongMasterKey, and a missing one is an error and is not made.
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
	keys, created, err := loadOrCreateKeys(ctx, pool, master)
	if err != nil {
		return nil, err
	}
	k := &Keyring{MasterKey: master, keys: keys, byID: map[string]*SigningKey{}, current: map[string]*SigningKey{}}
	for _, key := range keys {
		k.byID[key.kid] = key
		if !key.retired {
			k.current[key.alg] = key
		}
	}
	for _, kid := range created {
		k.created = append(k.created, k.byID[kid].publicKey())
	}
	return k, nil
}

// Created gives the keys that this Open made, none after the first start. Whoever records them must allow for a crash
// in between: [Keyring.PublicKeys] has them at every start.
func (k *Keyring) Created() []PublicKey { return k.created }

// PublicKeys gives all keys, oldest first.
func (k *Keyring) PublicKeys() []PublicKey {
	all := make([]PublicKey, len(k.keys))
	for i, key := range k.keys {
		all[i] = key.publicKey()
	}
	return all
}

// PublicKey gives the key to verify a signature with, and the one algorithm it may be used for.
func (k *Keyring) PublicKey(kid string) (key crypto.PublicKey, alg string, ok bool) {
	found, ok := k.byID[kid]
	if !ok {
		return nil, "", false
	}
	return found.private.Public(), found.alg, true
}

// JWKS is the public key set (RFC 7517 section 5), oldest key first, retired ones included.
func (k *Keyring) JWKS() jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(k.keys))}
	for i, key := range k.keys {
		set.Keys[i] = key.jwk()
	}
	return set
}

// Current gives the key that signs with alg now; ErrUnknownAlgorithm if none does. Who records which key signed takes it
// once, for the record and the signature.
func (k *Keyring) Current(alg string) (*SigningKey, error) {
	current, ok := k.current[alg]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownAlgorithm, alg)
	}
	return current, nil
}
