package eventstore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Seal has its own reader of JSON for speed; it must agree with encoding/json.
func FuzzCompaction(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : [ ] , "b":{"c":[1,-0.5e+7,true,false,null,"\u00e9\\\""]}} `, `{"a":[}`, `{"a" "b"}`, `{"a":1,}`,
		`{"a":01}`, `{"a":1.}`, `{"a":"` + "\x1f" + `"}`, `{} {}`, `{"a":[[[[]]]]}`, `{"a":nul}`, `{"a":"\u12"}`, `[1]`, `{"a":-}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := draft()
		d.Data = data
		record, _, err := eventstore.Seal(d, stream, 0, eventstore.Hash{})
		if errors.Is(err, eventstore.ErrTooLarge) {
			return
		}
		trimmed := bytes.TrimLeft(data, " \t\r\n")
		valid := json.Valid(data) && len(trimmed) > 0 && trimmed[0] == '{' && bytes.Equal(bytes.ToValidUTF8(data, nil), data)
		if valid != (err == nil) {
			t.Fatalf("Seal(%q) = %v, encoding/json says valid = %v", data, err, valid)
		}
		if !valid {
			return
		}
		var want bytes.Buffer
		if err := json.Compact(&want, data); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(record, want.Bytes()) {
			t.Fatalf("record %s does not hold %s", record, want.Bytes())
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(`{"format":"agentidp.event/1"}`))
	for _, change := range []func(*eventstore.Draft){
		func(*eventstore.Draft) {},
		func(d *eventstore.Draft) { d.Organization, d.Request = uuid.Nil, eventstore.Request{} },
		func(d *eventstore.Draft) { d.Causation, d.Actor.ID = d.ID, "\"\\\n\x01é" },
		func(d *eventstore.Draft) { d.Data = json.RawMessage(`{}`) },
		func(d *eventstore.Draft) { d.Data = json.RawMessage(`{"a":[{"b":[1e9,null]},"\ud83d\ude00"]}`) },
	} {
		d := draft()
		change(&d)
		f.Add(seal(f, d, 7, eventstore.HashOf([]byte("x"))))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		decoded, err := eventstore.DecodeRecord(record)
		if err != nil {
			if !errors.Is(err, eventstore.ErrMalformedRecord) {
				t.Fatalf("error %v is not ErrMalformedRecord", err)
			}
			return
		}
		again, hash, err := eventstore.Seal(decoded.Draft, decoded.Stream, decoded.Revision, decoded.Prev)
		if err != nil || !bytes.Equal(again, record) {
			t.Fatalf("accepted %q but Seal gives %q, %v", record, again, err)
		}
		if err := eventstore.NewChain(eventstore.ChainOptions{Midway: true}).Check(eventOf(decoded, record, hash, 1)); err != nil {
			t.Fatalf("accepted %q but the chain says %v", record, err)
		}
	})
}
