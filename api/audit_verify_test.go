package api_test

import (
	"encoding/base64"
	"testing"
)

// Verification compares the events with the log and with what was signed of it.
func TestVerificationGoesByTheLogAndItsCheckpoints(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	for name, test := range map[string]struct{ token, checkpoint string }{
		"operator": {s.operator, "/api/v1/ledger/checkpoint"},
		"tenant":   {n.token, "/api/v1/organizations/" + n.organization + "/checkpoint"},
	} {
		s.must(t, get(test.token, test.checkpoint), 200, "") // signs
		report := s.must(t, get(test.token, "/api/v1/audit/verify"), 200, "")
		agreed, _ := report.object()["checkpoint"].(map[string]any)
		if report.object()["verified"] != true || agreed == nil || agreed["treeSize"].(float64) > report.number("treeSize") || report.number("treeSize") > report.number("checkedCount") {
			t.Errorf("%s: %s, want what was signed to be part of it", name, report.body)
		}
		if root, err := base64.StdEncoding.DecodeString(report.text("rootHash")); err != nil || len(root) != 32 {
			t.Errorf("%s: root %q", name, report.text("rootHash"))
		}
		between := s.must(t, get(test.token, "/api/v1/audit/verify?fromDate=2001-01-01T00:00:00Z"), 200, "")
		if body := between.object(); body["treeSize"] != nil || body["rootHash"] != nil || body["checkpoint"] != nil {
			t.Errorf("%s, between dates: %s, want nothing of the log", name, between.body)
		}
	}
}

func TestIncrementalVerificationIsTheOperators(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	// Has waited for the log: what the log does not have yet is looked at again.
	s.must(t, get(n.token, "/api/v1/organizations/"+n.organization+"/checkpoint"), 200, "")
	all := s.must(t, get(s.operator, "/api/v1/audit/verify?mode=incremental"), 200, "")
	again := s.must(t, get(s.operator, "/api/v1/audit/verify?mode=incremental"), 200, "")
	if all.number("checkedCount") == 0 || again.number("checkedCount") >= all.number("checkedCount") || again.object()["verified"] != true {
		t.Errorf("first %s, then %s; want only what is new", all.body, again.body)
	}
	s.must(t, get(n.token, "/api/v1/audit/verify?mode=incremental"), 400, "VALIDATION_ERROR")
	s.must(t, get(s.operator, "/api/v1/audit/verify?mode=incremental&toDate=2100-01-01T00:00:00Z"), 400, "VALIDATION_ERROR")
	s.must(t, get(s.operator, "/api/v1/audit/verify?mode=quick"), 400, "VALIDATION_ERROR")
}
