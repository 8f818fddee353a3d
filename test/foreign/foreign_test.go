// Package foreign_test holds the server to what client libraries of other
// people do with it, each pinned to a version: libraries for Node, for Go, and
// the clients that openapi-generator makes from /openapi.json. Nothing of ours
// stands between library and server, and no library is treated in a way of its
// own that docs/conformance.md does not tell of.
package foreign_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TEST_FOREIGN says what happens where a tool is missing that the clients need.
const (
	foreignRequired = "required" // the test fails
	foreignOff      = "off"      // nothing runs, whatever is there
)

// need skips a test for which the machine has not got the tools, unless it must
// not be skipped.
func need(t *testing.T, tools ...string) {
	t.Helper()
	wanted := os.Getenv("TEST_FOREIGN")
	if wanted == foreignOff {
		t.Skip("TEST_FOREIGN=off")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if wanted == foreignRequired {
			t.Fatalf("%s is not installed: on Debian, apt-get install nodejs npm default-jdk-headless maven", tool)
		}
		t.Skipf("%s is not installed", tool)
	}
}
