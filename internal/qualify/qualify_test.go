package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestALedgerThatSomebodyHasIsRefused(t *testing.T) {
	t.Parallel()
	for url, refused := range map[string]bool{
		"esdb://es1:2113,es2:2113?tls=false":    false,
		"esdb://user:pa%3Ass@es1:2113":          false,
		"esdb+discover://es:2113":               false,
		"esdb://es1:2113/production?tls=false":  true,
		"esdb+discover://user:pass@es:2113/a/b": true,
		"http://es1:2113":                       true,
		"http://user:secret@es1:2113":           true,
		"":                                      true,
	} {
		if err := apart(url); (err != nil) != refused {
			t.Errorf("%s: %v", url, err)
		} else if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}

func TestNamesAreApart(t *testing.T) {
	t.Parallel()
	first, err := nameOf("mine")
	second, again := nameOf("mine")
	if err != nil || again != nil || first == second || !strings.HasPrefix(first, "mine") {
		t.Errorf("%q, %v; %q, %v", first, err, second, again)
	}
	for _, bad := range []string{"production/", "a-b", "$a", "A", "9", strings.Repeat("a", 32)} {
		if name, err := nameOf(bad); err == nil {
			t.Errorf("%q was taken, as %q", bad, name)
		}
	}
}

func TestTheSampleFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	names := func() []string { return strings.Fields("TestA TestB TestC TestD TestE TestF TestG TestH") }
	first, again, other := chosen(names(), 3, "1"), chosen(names(), 3, "1"), chosen(names(), 3, "2")
	if strings.Join(first, " ") != strings.Join(again, " ") || len(first) != 3 {
		t.Errorf("%v, then %v", first, again)
	}
	if strings.Join(first, " ") == strings.Join(other, " ") {
		t.Errorf("another seed brings the same: %v", other)
	}
}

const said = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"run","Package":"p","Test":"TestA/real"}
{"Action":"output","Package":"p","Test":"TestA/real","Output":"    a_test.go:7: 5 events, want 6\n"}
{"Action":"fail","Package":"p","Test":"TestA/real"}
{"Action":"pass","Package":"p","Test":"TestA/wire"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:9: set STORE_FAULTS to a program\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
not JSON: a compiler's word
`

func TestWhatGoTestSaysIsCounted(t *testing.T) {
	t.Parallel()
	var o outcome
	var out bytes.Buffer
	o.read(strings.NewReader(said), &out)
	if o.passed != 1 || o.failed != 1 || o.skipped != 1 || len(o.reasons) != 1 || o.reasons[0] != "set STORE_FAULTS to a program" {
		t.Errorf("%+v", o)
	}
	for _, want := range []string{"--- FAILED: TestA/real\n    a_test.go:7: 5 events, want 6\n", "a compiler's word"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestTheTable(t *testing.T) {
	t.Parallel()
	good, bad := step{name: "good", passed: "it holds", failed: "it does not"}, step{name: "bad", passed: "it holds", failed: "do not use it"}
	for name, c := range map[string]struct {
		found []outcome
		code  int
		says  []string
	}{
		"all well":    {[]outcome{{step: good, passed: 3}}, exitQualified, []string{"good  passed", "3 tests", "it holds", "qualifies."}},
		"one failed":  {[]outcome{{step: good, passed: 3}, {step: bad, passed: 1, failed: 2}}, exitNotQualified, []string{"FAILED", "2 of 3 tests", "do not use it", "does NOT qualify"}},
		"one skipped": {[]outcome{{step: good, skipped: 1, reasons: []string{"set STORE_FAULTS"}}}, exitQualified, []string{"skipped", "set STORE_FAULTS", "not known: it holds", "as far as it was tried"}},
		"it broke":    {[]outcome{{step: bad, passed: 9, broken: "go test: exit status 2"}}, exitNotQualified, []string{"FAILED", "exit status 2"}},
		"nothing ran": {[]outcome{{step: bad}}, exitNotQualified, []string{"FAILED", "no test ran"}},
	} {
		var out bytes.Buffer
		if code := conclude(&out, "23.10.8", "mine1", false, c.found); code != c.code {
			t.Errorf("%s: code %d, want %d", name, code, c.code)
		}
		for _, want := range append(c.says, "23.10.8", `"$mine1"`) {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, out.String())
			}
		}
	}
}
