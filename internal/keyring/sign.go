package keyring

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Sign gives claims, an encoded JSON object, as a JWS in compact form (RFC 7515 section 3.1) with the header alg, kid and typ
// ("at+jwt" for access tokens, RFC 9068 section 2.1; "JWT" for the rest). Beside the signature itself it costs next to nothing.
func (key *SigningKey) Sign(typ string, claims []byte) (string, error) {
	header, ok := key.headers[typ]
	if !ok {
		header = encodeHeader(key.alg, key.kid, typ)
	}
	const signatureRoom = 1 + 342 // "." and 256 bytes in base64, the longest signature
	token := make([]byte, 0, len(header)+1+base64.RawURLEncoding.EncodedLen(len(claims))+signatureRoom)
	token = append(token, header...)
	token = append(token, '.')
	token = base64.RawURLEncoding.AppendEncode(token, claims)
	signature, err := key.method.Sign(string(token), key.private)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", key.kid, err)
	}
	token = append(token, '.')
	token = base64.RawURLEncoding.AppendEncode(token, signature)
	return string(token), nil
}

func encodeHeader(alg, kid, typ string) string {
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		KID string `json:"kid"`
		Typ string `json:"typ"`
	}{alg, kid, typ})
	if err != nil {
		panic(err) // three strings always encode
	}
	return base64.RawURLEncoding.EncodeToString(header)
}
