package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestVerdictNamesWhatFallsShort(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		row  row
		want string
	}{
		{"no target", row{Value: 1}, ""},
		{"met", row{Value: 61, Beside: 100, Latency: &latency{P95: 29.9}, Target: &target{Ratio: .6, P95: 30, Value: 61}}, "ok"},
		{"ratio", row{Value: 59, Beside: 100, Target: &target{Ratio: .6}}, "SHORT: ratio"},
		{"no baseline", row{Value: 59, Target: &target{Ratio: .6}}, "SHORT: ratio"},
		{"more than allowed", row{Value: 2, Beside: 1, Target: &target{Most: 1.5}}, "SHORT: ratio"},
		{"at most", row{Value: 2.6, Target: &target{Under: 2.5}}, "SHORT: value"},
		{"all", row{Value: 1, Beside: 100, Latency: &latency{P95: 30}, Target: &target{Ratio: .6, P95: 30, Value: 61}}, "SHORT: ratio, value, p95"},
	} {
		if got := tc.row.judge(); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestPercentilesAreOfAllStretchesTogether(t *testing.T) {
	t.Parallel()
	var slow, fast meeting
	slow.length, fast.length = time.Second, time.Second
	for range 10 {
		slow.took = append(slow.took, 9*time.Millisecond)
	}
	for range 90 {
		fast.took = append(fast.took, time.Millisecond)
	}
	got := summarize(slow, fast)
	if want := (latency{P50: 1, P95: 9, P99: 9}); got.rate != 50 || got.latency != want {
		t.Errorf("%+v, want 50/s and %+v", got, want)
	}
}

func TestAnswersAreReadOneAfterAnother(t *testing.T) {
	t.Parallel()
	const two = "HTTP/1.1 200 OK\r\nX-Request-Id: 1\r\nContent-Length: 4\r\n\r\nbody" +
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"
	r := bufio.NewReader(strings.NewReader(two))
	if err := readAnswer(r, "bod"); err != nil {
		t.Errorf("the first answer: %v", err)
	}
	if err := readAnswer(r, ""); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable no") {
		t.Errorf("the second answer: error %v, want one that shows it", err)
	}
}

func TestUnknownGroupIsRefused(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"-only", "tokens"}, nil, nil, &stderr); code != 2 || !strings.Contains(stderr.String(), "es256") {
		t.Errorf("code %d, %q; want 2 and the groups there are", code, stderr.String())
	}
}
