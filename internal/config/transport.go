package config

import "github.com/EventStore/EventStore-Client-Go/v4/esdb"

// Transport is how safe the way to an EventStoreDB is.
type Transport string

const (
	// TransportTLS: encrypted, to a server that shows a certificate for its name.
	TransportTLS Transport = "tls"
	// TransportUnverified: encrypted, to whoever answers.
	TransportUnverified Transport = "tls_unverified"
	// TransportPlaintext: neither. Such a server asks nobody for a password.
	TransportPlaintext Transport = "plaintext"
)

// TransportOf is how a connection string has the server reached. One that cannot be
// understood is refused before.
func TransportOf(esdbURL string) Transport {
	server, _ := CutLedger(esdbURL)
	switch c, err := esdb.ParseConnectionString(server); {
	case err != nil, c.DisableTLS:
		return TransportPlaintext
	case c.SkipCertificateVerification:
		return TransportUnverified
	}
	return TransportTLS
}

// Warning is what an operator should know of it; "" for nothing.
func (t Transport) Warning() string {
	switch t {
	case TransportPlaintext:
		return "the event store is reached without TLS (tls=false): whoever reaches its port or the network between may read the ledger, write to its streams and delete them"
	case TransportUnverified:
		return "the event store's certificate is not verified (tlsVerifyCert=false): whoever is on the network between may read the ledger and change what is read"
	}
	return ""
}
