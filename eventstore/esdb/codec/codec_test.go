package codec

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// same holds what is decoded by hand to what the library's codec makes of it.
func same(t *testing.T, message []byte) (byHand bool) {
	t.Helper()
	var got, want api.ReadResp
	given := bytes.Clone(message)
	if !decodeEvent(given, &got) {
		if got.Content != nil {
			t.Errorf("%x: something was left behind by a decoding that was given up", message)
		}
		return false
	}
	clear(given) // it is the connection's again
	if err := proto.Unmarshal(message, &want); err != nil {
		t.Errorf("%x is taken, which is wrong: %v", message, err)
		return true
	}
	if !proto.Equal(&want, &got) {
		diff := cmp.Diff(&want, &got, protocmp.Transform())
		t.Errorf("%x (-want +got):\n%s", message, diff)
	}
	return true
}

func event(rng *rand.Rand) *api.ReadResp {
	some := func(most int) []byte {
		b := make([]byte, rng.IntN(most))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	e := &api.ReadResp_ReadEvent_RecordedEvent{
		Id: &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
			MostSignificantBits: int64(rng.Uint64()), LeastSignificantBits: int64(rng.Uint64()),
		}}},
		StreamIdentifier: &shared.StreamIdentifier{StreamName: append([]byte("agent-"), some(30)...)},
		StreamRevision:   rng.Uint64() >> rng.IntN(64),
		PreparePosition:  rng.Uint64() >> rng.IntN(64),
		CommitPosition:   rng.Uint64() >> rng.IntN(64),
		Metadata:         map[string]string{"type": "token.issued", "content-type": "application/json", "created": "17643012345678901"},
		CustomMetadata:   some(300),
		Data:             some(2000),
	}
	return &api.ReadResp{Content: &api.ReadResp_Event{Event: &api.ReadResp_ReadEvent{
		Event: e, Position: &api.ReadResp_ReadEvent_CommitPosition{CommitPosition: e.CommitPosition},
	}}}
}

func encoded(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is decoded by hand is what the library's codec makes of it, also of messages
// with a byte that is another one, or that end too soon.
func TestAnEventIsDecodedAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		message := encoded(t, event(rng))
		if !same(t, message) {
			t.Fatalf("%x was not decoded by hand", message)
		}
		for range 30 {
			other := bytes.Clone(message)
			other[rng.IntN(min(len(other), 300))] ^= byte(1 + rng.IntN(255))
			same(t, other)
			same(t, other[:rng.IntN(len(other))])
		}
	}
}

// Whatever is not an event as all are is left to the library's codec.
func TestTheUnexpectedIsLeftToTheLibrary(t *testing.T) {
	t.Parallel()
	changed := func(change func(*api.ReadResp_ReadEvent)) *api.ReadResp {
		r := event(rand.New(rand.NewPCG(3, 4)))
		change(r.GetEvent())
		return r
	}
	for name, m := range map[string]*api.ReadResp{
		"a checkpoint": {Content: &api.ReadResp_Checkpoint_{Checkpoint: &api.ReadResp_Checkpoint{CommitPosition: 1}}},
		"caught up":    {Content: &api.ReadResp_CaughtUp_{CaughtUp: &api.ReadResp_CaughtUp{}}},
		"nothing":      {},
		"no event":     changed(func(e *api.ReadResp_ReadEvent) { e.Event = nil }),
		"a link":       changed(func(e *api.ReadResp_ReadEvent) { e.Link = e.Event }),
		"no position": changed(func(e *api.ReadResp_ReadEvent) {
			e.Position = &api.ReadResp_ReadEvent_NoPosition{NoPosition: &shared.Empty{}}
		}),
		"an id in letters": changed(func(e *api.ReadResp_ReadEvent) {
			e.Event.Id = &shared.UUID{Value: &shared.UUID_String_{String_: "x"}}
		}),
		"a type that is no ASCII": changed(func(e *api.ReadResp_ReadEvent) { e.Event.Metadata["type"] = "bestätigt" }),
	} {
		message := encoded(t, m)
		if same(t, message) {
			t.Errorf("%s was decoded by hand", name)
		}
		var got api.ReadResp
		if err := encoding.GetCodecV2("proto").Unmarshal(mem.BufferSlice{mem.SliceBuffer(message)}, &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(m, &got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzDecodeEvent(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 10 {
		f.Add(encoded(f, event(rng)))
	}
	f.Fuzz(func(t *testing.T, message []byte) { same(t, message) })
}

func BenchmarkDecodeEvent(b *testing.B) {
	message := encoded(b, event(rand.New(rand.NewPCG(7, 8))))
	for name, codec := range map[string]encoding.CodecV2{"by hand": encoding.GetCodecV2("proto"), "library": encoding.GetCodecV2("proto").(eventCodec).CodecV2} {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(message)}, new(api.ReadResp)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
