package eventstore_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/eventstore"
)

func draft() eventstore.Draft {
	return eventstore.Draft{
		ID:           uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"),
		Type:         "token.issued",
		Schema:       1,
		Organization: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8058"),
		Actor:        eventstore.Actor{Kind: "agent", ID: "01890a5d-ac96-774b-bcce-b302099a8059"},
		Time:         time.Date(2026, 11, 23, 7, 21, 0, 123456000, time.UTC),
		Request:      eventstore.Request{ID: "req-1", IP: "192.0.2.7", Agent: "curl/8.1 <é>"},
		Data: json.RawMessage(`{"credentialId":"01890a5d-ac96-774b-bcce-b302099a8060","jti":"01890a5d-ac96-774b-bcce-b302099a8061",` +
			`"scope":"agents:read agents:write","expiresAt":"2026-11-23T08:21:00Z","audience":["https://id.example.com"]}`),
	}
}

const stream = "agent-01890a5d-ac96-774b-bcce-b302099a8059"

func seal(t testing.TB, d eventstore.Draft, revision int64, prev eventstore.Hash) []byte {
	t.Helper()
	record, hash, err := eventstore.Seal(d, stream, revision, prev)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	if hash != eventstore.HashOf(record) {
		t.Fatalf("hash = %s, the bytes hash to %s", hash, eventstore.HashOf(record))
	}
	return record
}

// The bytes of a record are a promise to every auditor; this test changes
// only together with the name of the format.
func TestRecordBytesAreFrozen(t *testing.T) {
	zeros := strings.Repeat("0", 64)
	bare := eventstore.Draft{
		ID: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"), Type: "agent.created", Schema: 2,
		Actor: eventstore.Actor{Kind: "system"}, Time: time.Date(2026, 1, 2, 3, 4, 5, 999, time.FixedZone("", 3600)),
		Data: json.RawMessage("{ \"a\" : [ 1 , {} ],\n\t\"b\":\" x \" }\n"),
	}
	full := bare
	full.Organization = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8058")
	full.Actor = eventstore.Actor{Kind: "agent", ID: "a\"\\\b\f\n\r\t\x01\x7f<>&\u2028é"}
	full.Request = eventstore.Request{IP: "192.0.2.7"}
	full.Causation = full.Organization
	for _, c := range []struct {
		name  string
		draft eventstore.Draft
		want  string
	}{
		{"bare", bare, `{"format":"agentidp.event/1","id":"01890a5d-ac96-774b-bcce-b302099a8057","stream":"` + stream + `","revision":0,` +
			`"type":"agent.created","schema":2,"organization":null,"actor":{"kind":"system","id":""},"time":"2026-01-02T02:04:05.000000Z",` +
			`"request":null,"causation":null,"data":{"a":[1,{}],"b":" x "},"prev":"` + zeros + `"}`},
		{"full", full, `{"format":"agentidp.event/1","id":"01890a5d-ac96-774b-bcce-b302099a8057","stream":"` + stream + `","revision":0,` +
			`"type":"agent.created","schema":2,"organization":"01890a5d-ac96-774b-bcce-b302099a8058","actor":{"kind":"agent",` +
			`"id":"a\"\\\b\f\n\r\t\u0001` + "\x7f<>&\u2028é" + `"},"time":"2026-01-02T02:04:05.000000Z",` +
			`"request":{"id":"","ip":"192.0.2.7","agent":""},"causation":"01890a5d-ac96-774b-bcce-b302099a8058",` +
			`"data":{"a":[1,{}],"b":" x "},"prev":"` + zeros + `"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			record := seal(t, c.draft, 0, eventstore.Hash{})
			if diff := cmp.Diff(c.want, string(record)); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			if !json.Valid(record) {
				t.Errorf("the record is not valid JSON")
			}
		})
	}
}

func TestDecodeReadsWhatSealWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.Rune(), 0, 20, -1)
		id := rapid.Custom(func(t *rapid.T) (id uuid.UUID) {
			copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
			return id
		})
		data, err := json.Marshal(rapid.MapOf(text, text).Draw(t, "data"))
		if err != nil {
			t.Fatal(err)
		}
		want := eventstore.Record{
			Draft: eventstore.Draft{
				ID: id.Draw(t, "id"), Type: rapid.StringMatching(`[a-z_]{1,9}\.[a-z]{1,9}`).Draw(t, "type"),
				Schema: rapid.IntRange(1, 1000).Draw(t, "schema"), Organization: id.Draw(t, "organization"),
				Actor:     eventstore.Actor{Kind: rapid.SampledFrom([]string{"agent", "system", "anonymous"}).Draw(t, "kind"), ID: text.Draw(t, "actor")},
				Time:      time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "time")).UTC(),
				Request:   eventstore.Request{ID: text.Draw(t, "request"), IP: text.Draw(t, "ip"), Agent: text.Draw(t, "agent")},
				Causation: id.Draw(t, "causation"),
				Data:      data,
			},
			Stream:   rapid.StringMatching(`[a-z]+-[0-9a-f é"\\]{0,30}`).Draw(t, "stream"),
			Revision: rapid.Int64Min(0).Draw(t, "revision"),
			Prev:     eventstore.HashOf([]byte(text.Draw(t, "prev"))),
		}
		if want.ID == uuid.Nil {
			want.ID[0] = 1
		}
		record, hash, err := eventstore.Seal(want.Draft, want.Stream, want.Revision, want.Prev)
		if err != nil {
			t.Fatalf("Seal(%+v): %v", want, err)
		}
		got, err := eventstore.DecodeRecord(record)
		if err != nil {
			t.Fatalf("DecodeRecord(%s): %v", record, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("decoded (-want +got):\n%s", diff)
		}
		chain := eventstore.NewChain(eventstore.ChainOptions{Midway: true})
		if err := chain.Check(eventOf(got, record, hash, 1)); err != nil {
			t.Fatalf("the chain refuses %s: %v", record, err)
		}
	})
}

func TestDecodeIsStrict(t *testing.T) {
	good := string(seal(t, draft(), 3, eventstore.HashOf(nil)))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, record := range map[string]string{
		"empty":                 "",
		"null":                  "null",
		"other format":          replace("event/1", "event/2"),
		"space before":          " " + good,
		"newline after":         good + "\n",
		"space within":          replace(`"revision":3`, `"revision": 3`),
		"space in data":         replace(`"data":{`, `"data":{ `),
		"upper-case id":         replace("ac96", "AC96"),
		"no hyphen":             replace("01890a5d-ac96", "01890a5d_ac96"),
		"leading zero":          replace(`"revision":3`, `"revision":03`),
		"negative revision":     replace(`"revision":3`, `"revision":-3`),
		"fraction":              replace(`"revision":3`, `"revision":3.0`),
		"schema 0":              replace(`"schema":1`, `"schema":0`),
		"needless escape":       replace("req-1", `req\u002d1`),
		"escaped slash":         replace("curl/8", `curl\/8`),
		"February 30":           replace("2026-11-23T07", "2026-02-30T07"),
		"no such hour":          replace("T07:21", "T27:21"),
		"zone":                  replace("123456Z", "123456+"),
		"data is an array":      replace(`"data":{`, `"data":[{`),
		"two data":              replace(`"data":{`, `"data":{},"data":{`),
		"empty request":         replace(`{"id":"req-1","ip":"192.0.2.7","agent":"curl/8.1 <é>"}`, `{"id":"","ip":"","agent":""}`),
		"nil organization":      replace(`"organization":"01890a5d-ac96-774b-bcce-b302099a8058"`, `"organization":"00000000-0000-0000-0000-000000000000"`),
		"unknown actor":         replace(`"kind":"agent"`, `"kind":"robot"`),
		"upper-case prev":       good[:len(good)-66] + strings.ToUpper(good[len(good)-66:]),
		"invalid UTF-8":         replace("<é>", "<\xc3>"),
		"invalid UTF-8 in data": replace("agents:read", "\xff"),
		"truncated":             good[:len(good)-1],
		"no data":               replace(string(draft().Data), ""),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := eventstore.DecodeRecord([]byte(record)); !errors.Is(err, eventstore.ErrMalformedRecord) {
				t.Errorf("DecodeRecord(%s) = %v, want ErrMalformedRecord", record, err)
			}
			decoded, err := eventstore.DecodeRecord([]byte(good))
			if err != nil {
				t.Fatal(err)
			}
			event := eventOf(decoded, []byte(record), eventstore.HashOf([]byte(record)), 1)
			var broken *eventstore.Break
			err = eventstore.NewChain(eventstore.ChainOptions{Midway: true}).Check(event)
			if !errors.As(err, &broken) || broken.Kind != eventstore.BreakMalformed {
				t.Errorf("Check(%s) = %v, want %s", record, err, eventstore.BreakMalformed)
			}
		})
	}
}

func TestSealRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*eventstore.Draft)
		want   error
		names  string
	}{
		{"no id", func(d *eventstore.Draft) { d.ID = uuid.Nil }, eventstore.ErrInvalidDraft, "id is missing"},
		{"no type", func(d *eventstore.Draft) { d.Type = "" }, eventstore.ErrInvalidDraft, "type"},
		{"a type with a separator", func(d *eventstore.Draft) { d.Type = "a,b" }, eventstore.ErrInvalidDraft, "type"},
		{"no schema", func(d *eventstore.Draft) { d.Schema = 0 }, eventstore.ErrInvalidDraft, "schema"},
		{"no actor", func(d *eventstore.Draft) { d.Actor = eventstore.Actor{} }, eventstore.ErrInvalidDraft, "actor kind"},
		{"no time", func(d *eventstore.Draft) { d.Time = time.Time{} }, eventstore.ErrInvalidDraft, "time"},
		{"a far time", func(d *eventstore.Draft) { d.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, eventstore.ErrInvalidDraft, "year"},
		{"no data", func(d *eventstore.Draft) { d.Data = nil }, eventstore.ErrInvalidDraft, "data"},
		{"data null", func(d *eventstore.Draft) { d.Data = json.RawMessage("null") }, eventstore.ErrInvalidDraft, "data"},
		{"data array", func(d *eventstore.Draft) { d.Data = json.RawMessage("[]") }, eventstore.ErrInvalidDraft, "data"},
		{"data broken", func(d *eventstore.Draft) { d.Data = json.RawMessage(`{"a":}`) }, eventstore.ErrInvalidDraft, "data"},
		{"bad UTF-8", func(d *eventstore.Draft) { d.Request.Agent = "\xff" }, eventstore.ErrInvalidDraft, "request"},
		{"too large", func(d *eventstore.Draft) {
			d.Data = json.RawMessage(`{"a":"` + strings.Repeat("x", eventstore.MaxRecordSize) + `"}`)
		}, eventstore.ErrTooLarge, "exceeds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := draft()
			c.change(&d)
			_, _, err := eventstore.Seal(d, stream, 0, eventstore.Hash{})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.names) {
				t.Errorf("Seal = %v, want %v naming %q", err, c.want, c.names)
			}
		})
	}
	for _, name := range []string{"", "a\x00b", "a\nb", "\xff", strings.Repeat("x", 257)} {
		if _, _, err := eventstore.Seal(draft(), name, 0, eventstore.Hash{}); !errors.Is(err, eventstore.ErrInvalidDraft) {
			t.Errorf("Seal on stream %.10q = %v, want ErrInvalidDraft", name, err)
		}
	}
}

func eventOf(r eventstore.Record, record []byte, hash eventstore.Hash, position eventstore.Position) eventstore.Event {
	return eventstore.Event{Position: position, Stream: r.Stream, Revision: r.Revision, ID: r.ID, Type: r.Type,
		Organization: r.Organization, RecordedAt: r.Time, Record: record, Hash: hash}
}

func BenchmarkSeal(b *testing.B) {
	d, prev := draft(), eventstore.HashOf(nil)
	b.ReportAllocs()
	for b.Loop() {
		record, _, err := eventstore.Seal(d, stream, 1234, prev)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(record)))
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	record := seal(b, draft(), 1234, eventstore.HashOf(nil))
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := eventstore.DecodeRecord(record); err != nil {
			b.Fatal(err)
		}
	}
}
