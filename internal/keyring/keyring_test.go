package keyring_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

const table = `
	CREATE TABLE signing_keys (
		kid            text        PRIMARY KEY,
		alg            text        NOT NULL CHECK (alg IN ('RS256', 'ES256')),
		public_jwk     jsonb       NOT NULL,
		sealed_private bytea       NOT NULL,
		created_at     timestamptz NOT NULL,
		retired_at     timestamptz,
		served_at      timestamptz,
		verify_only    boolean     NOT NULL DEFAULT false
	);
	GRANT SELECT, INSERT, DELETE, UPDATE (retired_at, served_at) ON signing_keys TO agentidp;
	CREATE TABLE did_keys (
		kid            text        PRIMARY KEY,
		agent_id       uuid,
		sealed_private bytea       NOT NULL,
		created_at     timestamptz NOT NULL DEFAULT now()
	);
	GRANT SELECT, INSERT, DELETE ON did_keys TO agentidp`

func TestMain(m *testing.M) { pgtest.Main(m) }

// database gives the pools of the server and of a superuser on a database with the table.
func database(tb testing.TB) (server, superuser *pgxpool.Pool) {
	tb.Helper()
	db := pgtest.New(tb, pgtest.Template{Key: table, Prepare: func(ctx context.Context, ownerURL string) error {
		conn, err := pgx.Connect(ctx, ownerURL)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, table)
		return errors.Join(err, conn.Close(ctx))
	}})
	return pgtest.Pool(tb, db.ServerURL), pgtest.Pool(tb, db.SuperuserURL)
}

func open(tb testing.TB, pool *pgxpool.Pool, file string) *keyring.Keyring {
	tb.Helper()
	k, err := keyring.Open(tb.Context(), pool, file)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// current is the key that signs with an algorithm.
func current(tb testing.TB, k *keyring.Keyring, alg string) *keyring.SigningKey {
	tb.Helper()
	key, err := k.Current(alg)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func kids(keys []keyring.PublicKey) []string {
	var kids []string
	for _, key := range keys {
		kids = append(kids, key.KID)
	}
	return kids
}

func TestServersThatStartTogetherShareOneSetOfKeys(t *testing.T) {
	t.Parallel()
	pool, _ := database(t)
	file := filepath.Join(t.TempDir(), "master.key")
	const servers = 6
	rings := make([]*keyring.Keyring, servers)
	var wg sync.WaitGroup
	for n := range servers {
		wg.Go(func() {
			k, err := keyring.Open(t.Context(), pool, file)
			if err != nil {
				t.Error(err)
			}
			rings[n] = k
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var created int
	for _, k := range rings {
		created += len(k.Created())
		if got, want := kids(k.PublicKeys()), kids(rings[0].PublicKeys()); !slices.Equal(got, want) || len(got) != 2 {
			t.Errorf("keys %q, want the two %q", got, want)
		}
	}
	if created != 2 {
		t.Errorf("%d keys created, want one for each of two algorithms", created)
	}
	if again := open(t, pool, file); len(again.Created()) != 0 {
		t.Errorf("a later start created %q", kids(again.Created()))
	}
}

func TestSignedTokensVerifyWithThePublishedKeys(t *testing.T) {
	t.Parallel()
	pool, _ := database(t)
	file := filepath.Join(t.TempDir(), "master.key")
	signer, verifier := open(t, pool, file), open(t, pool, file)
	claims := []byte(`{"sub":"agent","scope":"agents:read"}`)
	for _, alg := range []string{keyring.RS256, keyring.ES256} {
		for _, typ := range []string{"at+jwt", "JWT", "dpop+jwt"} {
			token, err := current(t, signer, alg).Sign(typ, claims)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := jwt.Parse(token, func(token *jwt.Token) (any, error) {
				kid, _ := token.Header["kid"].(string)
				key, keyAlg, ok := verifier.PublicKey(kid)
				if !ok || keyAlg != alg {
					t.Errorf("PublicKey(%q) has algorithm %q, %v, want %s", kid, keyAlg, ok, alg)
				}
				return key, nil
			}, jwt.WithValidMethods([]string{alg}))
			if err != nil {
				t.Fatalf("%s: %v", token, err)
			}
			if parsed.Header["typ"] != typ {
				t.Errorf("typ = %v, want %s", parsed.Header["typ"], typ)
			}

			published, err := json.Marshal(verifier.JWKS())
			if err != nil {
				t.Fatal(err)
			}
			var set jose.JSONWebKeySet
			if err := json.Unmarshal(published, &set); err != nil {
				t.Fatal(err)
			}
			jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := jws.Verify(set)
			if err != nil || !bytes.Equal(payload, claims) {
				t.Errorf("foreign library: payload %s, %v, want %s", payload, err, claims)
			}
		}
	}
	if _, err := signer.Current("none"); !errors.Is(err, keyring.ErrUnknownAlgorithm) {
		t.Errorf("alg none: %v, want ErrUnknownAlgorithm", err)
	}
	if _, _, ok := signer.PublicKey("unknown"); ok {
		t.Error("an unknown kid has a key")
	}
}

func TestKeySetIsPublicAndNamedByThumbprint(t *testing.T) {
	t.Parallel()
	pool, superuser := database(t)
	k := open(t, pool, filepath.Join(t.TempDir(), "master.key"))
	for _, key := range k.JWKS().Keys {
		thumbprint, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if !key.IsPublic() || key.Use != "sig" || key.KeyID != base64.RawURLEncoding.EncodeToString(thumbprint) {
			t.Errorf("key %s: public %v, use %q, thumbprint %x", key.KeyID, key.IsPublic(), key.Use, thumbprint)
		}
	}
	var stored string
	if err := superuser.QueryRow(t.Context(), `SELECT string_agg(public_jwk::text, ' ') FROM signing_keys`).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stored, `"d"`) || !strings.Contains(stored, `"n"`) || !strings.Contains(stored, `"crv"`) {
		t.Errorf("stored JWKs are not the public ones: %s", stored)
	}
}

func TestRetiredKeyVerifiesAndSignsNoMore(t *testing.T) {
	t.Parallel()
	pool, superuser := database(t)
	file := filepath.Join(t.TempDir(), "master.key")
	old := current(t, open(t, pool, file), keyring.ES256).ID()
	retire := func(where string) {
		t.Helper()
		if _, err := superuser.Exec(t.Context(), `UPDATE signing_keys SET retired_at = now() WHERE `+where); err != nil {
			t.Fatal(err)
		}
	}
	retire(`alg = 'ES256'`)
	k := open(t, pool, file)
	if _, err := k.Current(keyring.ES256); !errors.Is(err, keyring.ErrUnknownAlgorithm) || len(k.Created()) != 0 {
		t.Errorf("Current: %v, created %q; want no other key while one of another algorithm signs", err, kids(k.Created()))
	}
	if key, err := k.Signing(keyring.ES256); err != nil || key.Algorithm() != keyring.RS256 {
		t.Errorf("Signing = %v, %v; want the RS256 key", key, err)
	}
	if _, _, ok := k.PublicKey(old); !ok {
		t.Error("the retired key does not verify any more")
	}
	retire(`true`)
	k = open(t, pool, file)
	if newer := current(t, k, keyring.ES256).ID(); newer == old || len(k.Created()) != 2 {
		t.Errorf("where no key signs it signs with %s and has created %q; want two new ones", newer, kids(k.Created()))
	}
}

func TestWrongOrLostMasterKeyIsOneClearError(t *testing.T) {
	t.Parallel()
	pool, _ := database(t)
	dir := t.TempDir()
	open(t, pool, filepath.Join(dir, "master.key"))

	other := filepath.Join(dir, "other.key")
	if _, err := keyring.LoadOrCreateMasterKey(other); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(t.Context(), pool, other); !errors.Is(err, keyring.ErrWrongMasterKey) {
		t.Errorf("other master key: %v, want ErrWrongMasterKey", err)
	}
	lost := filepath.Join(dir, "lost.key")
	if _, err := keyring.Open(t.Context(), pool, lost); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("lost master key: %v, want os.ErrNotExist", err)
	}
	if _, err := os.Stat(lost); err == nil {
		t.Error("a new master key was made although the database needs the old one")
	}
}

func TestSealedKeyCannotBeMovedToAnotherRow(t *testing.T) {
	t.Parallel()
	pool, superuser := database(t)
	file := filepath.Join(t.TempDir(), "master.key")
	kid := current(t, open(t, pool, file), keyring.RS256).ID()
	if _, err := superuser.Exec(t.Context(), `
		UPDATE signing_keys SET sealed_private = (SELECT sealed_private FROM signing_keys WHERE alg = 'ES256')
		WHERE alg = 'RS256'`); err != nil {
		t.Fatal(err)
	}
	_, err := keyring.Open(t.Context(), pool, file)
	if !errors.Is(err, keyring.ErrTampered) || !strings.Contains(err.Error(), kid) {
		t.Errorf("error %v, want ErrTampered naming %s", err, kid)
	}
}

func BenchmarkSign(b *testing.B) {
	pool, _ := database(b)
	k := open(b, pool, filepath.Join(b.TempDir(), "master.key"))
	claims := bytes.Repeat([]byte("x"), 400)
	digest := sha256.Sum256(claims)
	for _, alg := range []string{keyring.RS256, keyring.ES256} {
		key := current(b, k, alg)
		b.Run(alg+"/token", func(b *testing.B) {
			for b.Loop() {
				if _, err := key.Sign("at+jwt", claims); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/bare", func(b *testing.B) {
			for b.Loop() {
				var err error
				switch key := key.Private().(type) {
				case *rsa.PrivateKey:
					_, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
				case *ecdsa.PrivateKey:
					_, _, err = ecdsa.Sign(rand.Reader, key, digest[:])
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
