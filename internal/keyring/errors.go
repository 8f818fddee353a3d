package keyring

import "errors"

var (
	// ErrMasterKeyFile: the file of the master key is not one, or others than its owner may read it.
	ErrMasterKeyFile = errors.New("unusable master key file")
	// ErrWrongMasterKey: something was sealed under another master key than this one.
	ErrWrongMasterKey = errors.New("sealed under another master key")
	// ErrTampered: a sealed value, or what it was bound to, is not what it was.
	ErrTampered = errors.New("sealed value does not open")
	// ErrUnknownAlgorithm: no key for this JWS algorithm.
	ErrUnknownAlgorithm = errors.New("no signing key for this algorithm")
	// ErrUnsuitable: tokens are not signed with keys of this kind.
	ErrUnsuitable = errors.New("the key does not suit")
	// ErrStale: the keys could not be looked at for so long that others may be in use.
	ErrStale = errors.New("the signing keys are not known as they are now")
)
