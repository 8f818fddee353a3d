package clientauth

import "testing"

// Neither a bad neighbour nor an attacker from elsewhere locks anybody out, nor
// do both together.
func TestAttemptsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		failed attempts
		want   bool
		why    string
	}{
		{attempts{}, false, "nothing has failed"},
		{attempts{here: 9, ofClient: 9}, false, "not yet"},
		{attempts{here: 10, ofClient: 10}, true, "this client fails from here"},
		{attempts{ofAddress: 1000}, false, "neighbours fail for other clients"},
		{attempts{ofClient: 1000}, false, "others fail for this client, from elsewhere"},
		{attempts{ofClient: 1000, ofAddress: 1000}, false, "neighbours fail for others, others for this client"},
		{attempts{here: 1, ofClient: 20}, true, "one of many addresses that fail for this client"},
		{attempts{here: 1, ofClient: 19}, false, "not yet"},
	} {
		if got := test.failed.refused(); got != test.want {
			t.Errorf("%+v: refused is %t, want %t: %s", test.failed, got, test.want, test.why)
		}
	}
}
