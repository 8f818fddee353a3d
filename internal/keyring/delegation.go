package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
)

// DelegationMAC authenticates a delegation token: HMAC-SHA-256 under the key named by keyID, which does nothing else.
// The key id is authenticated with the payload, so a token may carry it beside.
func (m *MasterKey) DelegationMAC(payload []byte) (keyID [keyIDSize]byte, mac []byte) {
	return m.delegationID, m.delegationMAC(m.delegationID, payload)
}

// VerifyDelegationMAC reports whether mac is that of the payload under the key named by keyID. It takes the same time
// whatever is wrong, an unknown key too.
func (m *MasterKey) VerifyDelegationMAC(keyID [keyIDSize]byte, payload, mac []byte) bool {
	right := hmac.Equal(mac, m.delegationMAC(keyID, payload))
	return hmac.Equal(keyID[:], m.delegationID[:]) && right
}

func (m *MasterKey) delegationMAC(keyID [keyIDSize]byte, payload []byte) []byte {
	h := hmac.New(sha256.New, m.delegationKey)
	h.Write(keyID[:]) // of fixed length, so where the payload begins is beyond doubt
	h.Write(payload)
	return h.Sum(nil)
}
