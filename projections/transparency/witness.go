package transparency

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// ErrCosignature: a line that is not the cosignature of a known witness on that
// checkpoint.
var ErrCosignature = errors.New("not a cosignature of a known witness on this checkpoint")

// Witnesses takes the cosignatures (C2SP tlog-cosignature, with Ed25519 or
// ML-DSA-44) of those whose keys it knows on checkpoints of the whole ledger. From
// then on they stand in the checkpoint.
type Witnesses struct {
	pool   *pgxpool.Pool
	logs   *Logs
	origin string
	known  note.Verifiers
}

// NewWitnesses knows some witnesses of the ledger of a host by their verifier
// keys.
func NewWitnesses(pool *pgxpool.Pool, host string, verifierKeys []string) (*Witnesses, error) {
	var known []note.Verifier
	for _, key := range verifierKeys {
		verifier, err := cosignature.NewVerifierForCosignatureV1(key)
		if err != nil {
			return nil, fmt.Errorf("witness %q: %w", key, err)
		}
		known = append(known, verifier)
	}
	return &Witnesses{pool: pool, logs: NewLogs(pool), origin: Origin(host, Whole), known: note.VerifierList(known...)}, nil
}

const storeCosignature = `INSERT INTO checkpoint_cosignatures AS w (organization_id, origin, size, witness, key_hash, line, cosigned_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7)
	ON CONFLICT (organization_id, origin, size, witness, key_hash) DO UPDATE
		SET (line, cosigned_at) = (excluded.line, excluded.cosigned_at) WHERE w.cosigned_at < excluded.cosigned_at`

// Accept takes cosignatures: the lines of a signed note that begin with an em
// dash, as a witness answers them, one for each key that it has. Those of keys
// that are not known are left out, where one is known. A later one of the same
// witness on the same checkpoint replaces it. The error is [ErrNoCheckpoint] or
// [ErrCosignature].
func (w *Witnesses) Accept(ctx context.Context, size int64, lines string) (Signed, error) {
	signed, err := w.logs.Checkpoint(ctx, Whole, w.origin, size)
	if err != nil {
		return Signed{}, err
	}
	lines = strings.TrimSuffix(lines, "\n")
	text, _, found := strings.Cut(string(signed.Note), "\n\n")
	if strings.Contains(lines, "\n\n") || !found {
		return Signed{}, fmt.Errorf("%w: no line may be empty", ErrCosignature)
	}
	opened, err := note.Open([]byte(text+"\n\n"+lines+"\n"), w.known)
	if err != nil || len(opened.Sigs) == 0 {
		return Signed{}, ErrCosignature
	}
	cosigned := make([]time.Time, len(opened.Sigs))
	for i, by := range opened.Sigs {
		if cosigned[i], err = cosignature.CoSigV1Timestamp(by); err != nil {
			return Signed{}, ErrCosignature
		}
	}
	err = keep(ctx, w.pool, func(batch *pgx.Batch) {
		for i, by := range opened.Sigs {
			line := "\u2014 " + by.Name + " " + by.Base64
			batch.Queue(storeCosignature, Whole, w.origin, size, by.Name, int64(by.Hash), line, cosigned[i].UTC())
		}
	})
	if err != nil {
		return Signed{}, fmt.Errorf("store a cosignature: %w", err)
	}
	return w.logs.Checkpoint(ctx, Whole, w.origin, size)
}
