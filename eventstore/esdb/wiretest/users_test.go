package wiretest_test

import (
	"encoding/base64"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
)

// A user without groups appends and reads its streams, and reads $all once the
// metadata of $all say that it may.
func TestWhatAPlainUserMay(t *testing.T) {
	t.Parallel()
	cluster := wiretest.Start(t, 1)
	cluster.RequireUsers(map[string]string{"admin": "changeit", "ledger": "pass"})
	s := nodes(t, cluster)[0]
	as := func(user, password string) *server {
		basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		u := *s
		u.ctx = metadata.AppendToOutgoingContext(s.ctx, "authorization", "Basic "+basic)
		return &u
	}
	for _, stranger := range []*server{s, as("ledger", "wrong"), as("nobody", "")} {
		_, err := stranger.append("a", anything, one())
		s.refused(err, codes.Unauthenticated, "")
	}
	ledger := as("ledger", "pass")
	ledger.add("a", one())
	s.same("its stream", ledger.revisions("a"), []uint64{0})
	denied := func() {
		t.Helper()
		_, err := ledger.all(0, 0, forwards, 1)
		s.refused(err, codes.PermissionDenied, "Access Denied")
		_, err = ledger.subscribe(ledger.ctx, start(), nil)
		s.refused(err, codes.PermissionDenied, "Access Denied")
	}
	denied()
	_, err := ledger.append("$$a", anything, one())
	s.refused(err, codes.PermissionDenied, "Access Denied")
	boss := as("admin", "changeit")
	boss.prefix = ""
	boss.setMetadata("$all", `{"$acl":{"$r":["$admins","ledger"]}}`)
	if events, err := ledger.all(0, 0, forwards, 1); err != nil || len(events) != 1 {
		t.Errorf("%v, %v", events, err)
	}
	boss.setMetadata("$all", `{"$acl":{"$r":"$admins"}}`)
	denied()
}
