package esdb

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// The quick way to read metadata finds what the slow one does, and nothing else.
func FuzzMetadata(f *testing.F) {
	made, err := json.Marshal(envelope{
		Format: eventstore.Format, ID: uuid.New(), Organization: uuid.New(), Time: time.Now().UTC().Truncate(time.Microsecond), Hash: eventstore.HashOf(nil),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"format":"a","id":"\u0061"}`))
	f.Add(append([]byte(`{"extra":1,`), made[1:]...))
	f.Fuzz(func(t *testing.T, metadata []byte) {
		var want envelope
		slow := json.Unmarshal(metadata, &want) == nil
		got, quick := readEnvelope(metadata)
		if quick != slow {
			t.Fatalf("%s: read quickly: %v, slowly: %v", metadata, quick, slow)
		}
		if diff := cmp.Diff(want, got); slow && diff != "" {
			t.Fatalf("%s (-slowly +quickly):\n%s", metadata, diff)
		}
	})
}

func BenchmarkMetadata(b *testing.B) {
	made, _ := json.Marshal(envelope{Format: eventstore.Format, ID: uuid.New(), Organization: uuid.New(), Time: time.Now().UTC(), Hash: eventstore.HashOf(nil)})
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := readEnvelope(made); !ok {
			b.Fatal("not read")
		}
	}
}
