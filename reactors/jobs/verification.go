package jobs

import (
	"context"
	"time"
)

// The names of the jobs.
const (
	VerifyNewEvents  = "ledger_verification_new"
	VerifyAllEvents  = "ledger_verification_full"
	CredentialExpiry = "credential_expiry"
	KeyCheck         = "encryption_keys"
	TLSCheck         = "tls"
	SecretsRotation  = "secrets_rotation"
	Checkpoint       = "checkpoint"
	DatabaseGuards   = "database_guards"
	StoreStreams     = "event_store_streams"
)

// Verification proves events of the ledger and says how many it looked at.
// Broken is what does not hold, nil when everything does; err says that it
// could not look.
type Verification func(ctx context.Context) (checked int64, broken, err error)

// VerifyNew proves what has come since the last time.
func VerifyNew(interval time.Duration, verify Verification) Job {
	return verification(VerifyNewEvents, interval, verify)
}

// VerifyAll proves the ledger from its beginning.
func VerifyAll(interval time.Duration, verify Verification) Job {
	return verification(VerifyAllEvents, interval, verify)
}

func verification(name string, interval time.Duration, verify Verification) Job {
	return Job{Name: name, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		checked, broken, err := verify(ctx)
		if err != nil {
			return Result{}, err
		}
		result := Result{Count: checked, Detail: "the ledger holds"}
		if broken != nil {
			result.Failed, result.Detail = true, broken.Error()
		}
		return result, nil
	}}
}

// SignCheckpoints has the logs of the ledger signed that have grown. Refused is
// why some were not: they do not extend what was signed before.
func SignCheckpoints(interval time.Duration, sign func(ctx context.Context) (signed int, refused, err error)) Job {
	return Job{Name: Checkpoint, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		signed, refused, err := sign(ctx)
		if err != nil {
			return Result{}, err
		}
		result := Result{Count: int64(signed), Detail: "the logs are signed as they are"}
		if refused != nil {
			result.Failed, result.Detail = true, refused.Error()
		}
		return result, nil
	}}
}
