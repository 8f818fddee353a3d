package keyring

import (
	"bytes"
	"fmt"
)

// An envelope is: version (1 byte), id of the sealing key (8), nonce (12), ciphertext, tag (16).
const (
	envelopeVersion = 1
	envelopeHeader  = 1 + keyIDSize
)

// Seal encrypts plaintext (AES-256-GCM, random nonce) and binds it to aad, which [MasterKey.Open] must be given again:
// name there what the value belongs to, so that it cannot be moved elsewhere. One key may seal 2^32 values.
func (m *MasterKey) Seal(plaintext, aad []byte) ([]byte, error) {
	envelope := make([]byte, envelopeHeader, envelopeHeader+len(plaintext)+m.sealing.Overhead())
	envelope[0] = envelopeVersion
	copy(envelope[1:], m.sealingID[:])
	return m.sealing.Seal(envelope, nil, plaintext, bound(envelope[:envelopeHeader], aad)), nil
}

// Open gives back what [MasterKey.Seal] sealed. It fails with ErrWrongMasterKey when the envelope names another key
// and with ErrTampered when envelope or aad differ in any bit.
func (m *MasterKey) Open(envelope, aad []byte) ([]byte, error) {
	if len(envelope) < envelopeHeader+m.sealing.Overhead() || envelope[0] != envelopeVersion {
		return nil, fmt.Errorf("%w: no envelope of version %d", ErrTampered, envelopeVersion)
	}
	header := envelope[:envelopeHeader]
	if id := header[1:]; !bytes.Equal(id, m.sealingID[:]) {
		return nil, fmt.Errorf("%w: it is %x, this one is %s", ErrWrongMasterKey, id, m.KeyID())
	}
	plaintext, err := m.sealing.Open(nil, nil, envelope[envelopeHeader:], bound(header, aad))
	if err != nil {
		return nil, ErrTampered
	}
	return plaintext, nil
}

// bound prepends the header, whose length is fixed, so that it is authenticated with the rest.
func bound(header, aad []byte) []byte {
	return append(bytes.Clone(header), aad...)
}
