package domain

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func plainIssuance() TokenIssued {
	return TokenIssued{
		AgentID: AgentID{uuid.New()}, TokenID: TokenID{uuid.New()}, CredentialID: CredentialID{uuid.New()}, AuthMethod: SecretCredential,
		Scope: "agents:read audit:read", Audience: "https://idp.example/a?b=<c>&d", Algorithm: "ES256", KeyID: "k1",
		ExpiresAt: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC),
	}
}

func TestIssuancesAsWrittenAreReadTheShortWay(t *testing.T) {
	_, _, data, err := Encode(plainIssuance())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := readTokenIssued(data); !ok {
		t.Errorf("not read the short way: %s", data)
	}
	delegated := plainIssuance()
	delegated.Delegation, delegated.Subject = &DelegationID{uuid.New()}, &AgentID{uuid.New()}
	_, _, data, err = Encode(delegated)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeTokenIssued(data)
	if diff := cmp.Diff(Event(delegated), got); diff != "" || err != nil {
		t.Errorf("of a delegation: %v (-written +read):\n%s", err, diff)
	}
}

// What is read the short way is what the long way reads.
func FuzzTheShortWayReadsTheSame(f *testing.F) {
	_, _, data, err := Encode(plainIssuance())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(data))
	f.Add([]byte(`{"agentId":"01a21331-d674-765b-97d9-7653f93b831c","jti":"","credentialId":"x","authMethod":"","scope":"\u00e9"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		short, ok := readTokenIssued(data)
		if !ok {
			return
		}
		long, err := decodeAs[TokenIssued](data)
		if diff := cmp.Diff(long, Event(short)); diff != "" || err != nil {
			t.Errorf("%q: %v (-long +short):\n%s", data, err, diff)
		}
	})
}

func BenchmarkDecodeTokenIssued(b *testing.B) {
	_, _, data, err := Encode(plainIssuance())
	if err != nil {
		b.Fatal(err)
	}
	for name, decode := range map[string]func([]byte) (Event, error){"short": decodeTokenIssued, "long": decodeAs[TokenIssued]} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
