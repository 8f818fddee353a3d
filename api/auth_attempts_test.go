package api

import "testing"

// Neither a bad neighbour nor an attacker from elsewhere locks anybody out.
func TestAttemptsThatAreTooMany(t *testing.T) {
	for _, test := range []struct {
		failed attempts
		want   bool
		why    string
	}{
		{attempts{0, 0}, false, "nothing has failed"},
		{attempts{9, 9}, false, "not yet"},
		{attempts{10, 10}, true, "this address fails for this client"},
		{attempts{10, 0}, false, "a neighbour fails for another client"},
		{attempts{99, 0}, false, "many neighbours fail"},
		{attempts{100, 0}, true, "the address tries one client after another"},
		{attempts{0, 1000}, false, "others fail for this client, from elsewhere"},
		{attempts{1, 20}, true, "one of many addresses that fail for this client"},
		{attempts{1, 19}, false, "not yet"},
	} {
		if got := test.failed.tooMany(); got != test.want {
			t.Errorf("%+v: too many is %t, want %t: %s", test.failed, got, test.want, test.why)
		}
	}
}
