package rounds_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What skips the race detector is run without it, and nothing is listed that is gone.
func TestMakeRunsWhatTheRaceDetectorIsNotShown(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^NO_RACE = \^\((.*)\)\$\$$`).FindSubmatch(makefile)
	if list == nil {
		t.Fatal("the Makefile has no list NO_RACE")
	}
	listed := strings.Split(string(list[1]), "|")
	files, err := filepath.Glob("../../replay/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var skipping []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range regexp.MustCompile(`func (\w+)\(\w+ \*testing\.[TF]\) \{\n\trounds\.NoRace\(`).FindAllSubmatch(source, -1) {
			skipping = append(skipping, string(test[1]))
		}
	}
	slices.Sort(listed)
	slices.Sort(skipping)
	if !slices.Equal(listed, skipping) {
		t.Errorf("the Makefile's NO_RACE lists\n%s\nbut rounds.NoRace is called by\n%s", listed, skipping)
	}
}
