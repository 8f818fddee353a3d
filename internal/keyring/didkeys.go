package keyring

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DIDKeys makes the keys of DIDs, all of them on P-256, and keeps their private halves in table did_keys, sealed under
// the master key. It is safe for concurrent use.
type DIDKeys struct {
	pool   *pgxpool.Pool
	master *MasterKey
}

// NewDIDKeys keeps keys through a pool whose role may select, insert and delete rows of did_keys.
func NewDIDKeys(pool *pgxpool.Pool, master *MasterKey) *DIDKeys {
	return &DIDKeys{pool: pool, master: master}
}

// New makes a pair for the DID of an owner, uuid.Nil for the server's own, and gives its public half as a JWK of the
// four members that RFC 7638 hashes. Nothing is stored until keep has returned nil; call that before the key is made
// known to anybody.
func (d *DIDKeys) New(owner uuid.UUID) (public json.RawMessage, keep func(context.Context) error, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	public, kid, err := publicOf(private)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := d.master.Seal(der, sealedForDID(kid, owner))
	if err != nil {
		return nil, nil, err
	}
	return public, func(ctx context.Context) error {
		const insert = `INSERT INTO did_keys (kid, agent_id, sealed_private) VALUES ($1, nullif($2::uuid, $3), $4)`
		if _, err := d.pool.Exec(ctx, insert, kid, owner, uuid.Nil, sealed); err != nil {
			return fmt.Errorf("keep a DID key: %w", err)
		}
		return nil
	}, nil
}

// Has reports whether the private half of a key is here.
func (d *DIDKeys) Has(ctx context.Context, public json.RawMessage) (found bool, err error) {
	kid, err := DIDKeyID(public)
	if err != nil {
		return false, err
	}
	err = d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM did_keys WHERE kid = $1)`, kid).Scan(&found)
	return found, err
}

// InstanceSigner signs with the private half of a key that the server's own DID has.
func (d *DIDKeys) InstanceSigner(ctx context.Context, public json.RawMessage) (*DIDSigner, error) {
	kid, err := DIDKeyID(public)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	if err := d.pool.QueryRow(ctx, `SELECT sealed_private FROM did_keys WHERE kid = $1 AND agent_id IS NULL`, kid).Scan(&sealed); err != nil {
		return nil, fmt.Errorf("key %s of the server's DID: %w", kid, err)
	}
	private, err := openDIDKey(d.master, kid, uuid.Nil, sealed)
	if err != nil {
		return nil, err
	}
	return &DIDSigner{private: private}, nil
}

// StoredDIDKey is a key whose private half is kept.
type StoredDIDKey struct {
	KID   string
	Agent uuid.UUID
}

// Stored lists the keys of agents that were made before a moment: in the order of their ids, those after one.
func (d *DIDKeys) Stored(ctx context.Context, before time.Time, after string, limit int) ([]StoredDIDKey, error) {
	const query = `SELECT kid, agent_id FROM did_keys WHERE agent_id IS NOT NULL AND created_at < $1 AND kid > $2 ORDER BY kid LIMIT $3`
	rows, err := d.pool.Query(ctx, query, before, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[StoredDIDKey])
}

// Forget deletes the private half of an agent's key.
func (d *DIDKeys) Forget(ctx context.Context, kid string) error {
	_, err := d.pool.Exec(ctx, `DELETE FROM did_keys WHERE kid = $1 AND agent_id IS NOT NULL`, kid)
	return err
}

// DIDSigner signs with ES256. It is immutable and safe for concurrent use.
type DIDSigner struct{ private *ecdsa.PrivateKey }

var (
	order     = elliptic.P256().Params().N
	halfOrder = new(big.Int).Rsh(order, 1)
)

// Sign gives the signature of RFC 7518 section 3.4: r and s of 32 bytes each, over the SHA-256 of the text. Of the two
// values that s may have it takes the lower one, since some libraries refuse the other.
func (s *DIDSigner) Sign(text []byte) ([]byte, error) {
	digest := sha256.Sum256(text)
	r, v, err := ecdsa.Sign(rand.Reader, s.private, digest[:])
	if err != nil {
		return nil, err
	}
	if v.Cmp(halfOrder) > 0 {
		v.Sub(order, v)
	}
	const size = 32
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	v.FillBytes(signature[size:])
	return signature, nil
}

// DIDKeyID is the RFC 7638 thumbprint of a key in the form that [DIDKeys.New] gives.
func DIDKeyID(public json.RawMessage) (string, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(public); err != nil {
		return "", err
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(thumbprint), err
}

// publicOf gives the members of RFC 7638 in its order, and so what is hashed.
func publicOf(private *ecdsa.PrivateKey) (public json.RawMessage, kid string, err error) {
	const size = 32
	point, err := private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	public = json.RawMessage(`{"crv":"P-256","kty":"EC","x":"` + encode(point[1:1+size]) + `","y":"` + encode(point[1+size:]) + `"}`)
	digest := sha256.Sum256(public)
	return public, encode(digest[:]), nil
}

func openDIDKey(master *MasterKey, kid string, owner uuid.UUID, sealed []byte) (*ecdsa.PrivateKey, error) {
	der, err := master.Open(sealed, sealedForDID(kid, owner))
	if err != nil {
		return nil, fmt.Errorf("DID key %s: %w", kid, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	private, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("DID key %s: %w: not a private key on P-256", kid, ErrTampered)
	}
	if _, is, err := publicOf(private); err != nil || is != kid {
		return nil, fmt.Errorf("DID key %s: %w: its thumbprint is another", kid, errors.Join(ErrTampered, err))
	}
	return private, nil
}

func sealedForDID(kid string, owner uuid.UUID) []byte {
	return []byte("did_keys\x00" + kid + "\x00" + owner.String())
}

// checkDIDKeys opens the newest keys of DIDs, agents' and the server's own.
func checkDIDKeys(ctx context.Context, tx pgx.Tx, master *MasterKey) error {
	const query = `(SELECT kid, agent_id, sealed_private FROM did_keys ORDER BY created_at DESC LIMIT 100)
		UNION SELECT kid, agent_id, sealed_private FROM did_keys WHERE agent_id IS NULL`
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return err
	}
	var (
		kid    string
		owner  *uuid.UUID
		sealed []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&kid, &owner, &sealed}, func() error {
		whose := uuid.Nil
		if owner != nil {
			whose = *owner
		}
		_, err := openDIDKey(master, kid, whose, sealed)
		return err
	})
	return err
}
