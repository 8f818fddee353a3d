package config

import "testing"

func TestHowSafeTheWayToTheEventStoreIs(t *testing.T) {
	for url, want := range map[string]Transport{
		"esdb://admin:secret@es:2113":                                        TransportTLS,
		"esdb://admin:secret@es:2113/ledger?tls=true":                        TransportTLS,
		"esdb://es:2113?tls=false":                                           TransportPlaintext,
		"esdb://es1:2113,es2:2113/ledger?keepAliveInterval=5000&tls=false":   TransportPlaintext,
		"esdb://admin:secret@es:2113/ledger?tlsVerifyCert=false":             TransportUnverified,
		"esdb+discover://admin:secret@es:2113?tls=false&tlsVerifyCert=false": TransportPlaintext,
	} {
		if got := TransportOf(url); got != want || (got.Warning() == "") != (want == TransportTLS) {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
