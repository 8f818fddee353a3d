package api_test

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/sentryagent/agentidp/internal/pgtest"
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

// A read writes nothing down: only the server's own job moves the place from which
// events are new.
func TestIncrementalVerificationIsTheOperators(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.untilControls(t, map[string]string{"CC7.2": "passing"}) // the job has run, and comes again in an hour
	n := s.tenant(t)
	s.must(t, get(n.token, "/api/v1/organizations/"+n.organization+"/checkpoint"), 200, "") // has waited for the log
	database := pgtest.Pool(t, s.world.Database.SuperuserURL)
	remembered := func() (place string) {
		if err := database.QueryRow(t.Context(), `SELECT coalesce(string_agg(verifications::text, ''), '') FROM verifications`).Scan(&place); err != nil {
			t.Fatal(err)
		}
		return place
	}
	before := remembered()
	all := s.must(t, get(s.operator, "/api/v1/audit/verify?mode=incremental"), 200, "")
	again := s.must(t, get(s.operator, "/api/v1/audit/verify?mode=incremental"), 200, "")
	if all.number("checkedCount") == 0 || again.number("checkedCount") < all.number("checkedCount") || again.object()["verified"] != true {
		t.Errorf("first %s, then %s; want the same events again", all.body, again.body)
	}
	if after := remembered(); after != before {
		t.Errorf("a read moved the place from %s to %s", before, after)
	}
	s.must(t, get(n.token, "/api/v1/audit/verify?mode=incremental"), 400, "VALIDATION_ERROR")
	s.must(t, get(s.operator, "/api/v1/audit/verify?mode=incremental&toDate=2100-01-01T00:00:00Z"), 400, "VALIDATION_ERROR")
	s.must(t, get(s.operator, "/api/v1/audit/verify?mode=quick"), 400, "VALIDATION_ERROR")
}

func TestIncrementalVerificationGoesOnFromWhereTheJobCame(t *testing.T) {
	t.Parallel()
	s := newScene(t, "VERIFY_NEW_INTERVAL_MS=1000")
	s.tenant(t)
	database := pgtest.Pool(t, s.world.Database.SuperuserURL)
	until(t, func() error {
		var moved bool
		err := database.QueryRow(t.Context(), `SELECT count(*) > 0, pg_sleep(0.05) FROM verifications`).Scan(&moved, nil)
		if err == nil && !moved {
			err = errors.New("the job has remembered no place")
		}
		return err
	})
	all := s.must(t, get(s.operator, "/api/v1/audit/verify"), 200, "")
	fresh := s.must(t, get(s.operator, "/api/v1/audit/verify?mode=incremental"), 200, "")
	if fresh.number("checkedCount") >= all.number("checkedCount") || fresh.object()["verified"] != true {
		t.Errorf("all: %s, what is new: %s", all.body, fresh.body)
	}
}
