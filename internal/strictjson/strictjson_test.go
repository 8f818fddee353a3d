package strictjson

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzStrictJSON holds that what passes means to encoding/json what it means to us.
func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e3,"x\n\ud83d\ude00",true,false,null,{}]}`, `"\u0000"`, `[[[]]]`, ` 1 `, `{"a":1,"a":2}`, `"\\u0000"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, fault := Parse(data)
		if fault != nil {
			if fault.Message == "" || fault.Position < 0 || fault.Position > len(data) {
				t.Errorf("%q: a useless fault %+v", data, fault)
			}
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("%q passed, but: %v", data, err)
		}
		ours, _ := json.Marshal(value)
		theirs, _ := json.Marshal(want)
		if !bytes.Equal(ours, theirs) {
			t.Errorf("%q: got %s, want %s", data, ours, theirs)
		}
	})
}
