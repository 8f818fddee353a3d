package api

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/sentryagent/agentidp/domain"
)

// secretPrefix lets people and scanners recognize a leaked secret.
const secretPrefix = "sk_live_"

// NewClientSecret makes a client secret of 256 random bits.
func NewClientSecret() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	return secretPrefix + base64.RawURLEncoding.EncodeToString(random[:])
}

// DID gives the did:web identifiers of agents on a host, with the colon of a
// port escaped (https://w3c-ccg.github.io/did-method-web/).
func DID(host string) func(domain.AgentID) string {
	prefix := InstanceDID(host) + ":agents:"
	return func(id domain.AgentID) string { return prefix + id.String() }
}

// InstanceDID is the did:web identifier of the server itself on a host.
func InstanceDID(host string) string { return "did:web:" + strings.ReplaceAll(host, ":", "%3A") }
