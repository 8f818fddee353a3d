package keyring

import "crypto"

// Private is the key itself, to measure a bare signature with.
func (key *SigningKey) Private() crypto.Signer { return key.private }
