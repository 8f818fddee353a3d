package jobs

import "time"

// The names of the jobs.
const (
	VerifyNewEvents  = "ledger_verification_new"
	VerifyAllEvents  = "ledger_verification_full"
	CredentialExpiry = "credential_expiry"
	DIDCreation      = "did_creation"
	DIDKeySweep      = "did_key_sweep"
	PartnerExpiry    = "partner_expiry"
	KeyCheck         = "encryption_keys"
	TLSCheck         = "tls"
	SecretsRotation  = "secrets_rotation"
	Checkpoint       = "checkpoint"
	DatabaseGuards   = "database_guards"
	StoreStreams     = "event_store_streams"
)

// VerifyNew proves the events of the ledger that have come since the last time, and
// counts them.
func VerifyNew(interval time.Duration, verify Judge) Job {
	return judging(VerifyNewEvents, interval, "the ledger holds", verify)
}

// VerifyAll proves the ledger from its beginning, and counts its events.
func VerifyAll(interval time.Duration, verify Judge) Job {
	return judging(VerifyAllEvents, interval, "the ledger holds", verify)
}

// SignCheckpoints has the logs of the ledger signed that have grown, and counts
// them. The fault is that some do not extend what was signed before.
func SignCheckpoints(interval time.Duration, sign Judge) Job {
	return judging(Checkpoint, interval, "the logs are signed as they are", sign)
}
