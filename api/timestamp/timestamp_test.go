package timestamp_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/api/timestamp"
)

func TestTimesAreWrittenToTheMillisecondInUTC(t *testing.T) {
	east := time.FixedZone("east", 2*60*60)
	for _, test := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 11, 23, 7, 21, 0, 0, time.UTC), `"2026-11-23T07:21:00.000Z"`},
		{time.Date(2026, 11, 23, 7, 21, 0, 120_000_000, time.UTC), `"2026-11-23T07:21:00.120Z"`},
		{time.Date(2026, 11, 23, 7, 21, 0, 123_999_999, time.UTC), `"2026-11-23T07:21:00.123Z"`},
		{time.Date(2026, 11, 23, 1, 0, 0, 0, east), `"2026-11-22T23:00:00.000Z"`},
	} {
		got, err := json.Marshal(timestamp.Of(test.at))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: got %s, %v; want %s", test.at, got, err, test.want)
		}
		if text := timestamp.Of(test.at).String(); `"`+text+`"` != test.want {
			t.Errorf("%s: String got %s, want %s", test.at, text, test.want)
		}
	}
}

func TestYearsBeyondRFC3339AreRefused(t *testing.T) {
	if got, err := json.Marshal(timestamp.Of(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC))); err == nil {
		t.Errorf("got %s, want an error", got)
	}
}

func TestAnyRFC3339TimeIsRead(t *testing.T) {
	for text, want := range map[string]time.Time{
		`"2026-11-23T07:21:00Z"`:             time.Date(2026, 11, 23, 7, 21, 0, 0, time.UTC),
		`"2026-11-23T09:21:00.123456+02:00"`: time.Date(2026, 11, 23, 7, 21, 0, 123_456_000, time.UTC),
	} {
		var got timestamp.Milli
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
	var got timestamp.Milli
	if err := json.Unmarshal([]byte(`"yesterday"`), &got); err == nil {
		t.Errorf("yesterday: got %v, want an error", got)
	}
}
