package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// verdict is a word on a step, why, and what it means to the operator.
func (o outcome) verdict() (word, why, means string) {
	switch {
	case o.broken != "":
		return "FAILED", o.broken, o.step.failed
	case o.failed > 0:
		return "FAILED", fmt.Sprintf("%d of %d tests", o.failed, o.failed+o.passed), o.step.failed
	case o.passed > 0:
		why = fmt.Sprintf("%d tests", o.passed)
		if o.step.sample > 0 {
			why += ", some of all"
		}
		return "passed", why, o.step.passed
	case o.skipped > 0:
		return "skipped", o.reasons[0], "not known: " + o.step.passed
	}
	return "FAILED", "no test ran", o.step.failed
}

// conclude prints the table.
func conclude(out io.Writer, version, name string, own bool, found []outcome) (code int) {
	fmt.Fprint(out, "\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tRESULT\tTOOK\tWHY\tWHAT IT MEANS")
	skipped := false
	for _, o := range found {
		word, why, means := o.verdict()
		switch word {
		case "FAILED":
			code = exitNotQualified
		case "skipped":
			skipped = true
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", o.step.name, word, o.took.Round(time.Second), strings.ReplaceAll(why, "\t", " "), means)
	}
	_ = table.Flush() // of no use when it fails
	which := "This server"
	if own {
		which = "The wire server"
	}
	switch {
	case code != exitQualified:
		fmt.Fprintf(out, "\n%s (%s) does NOT qualify.\n", which, version)
	case skipped:
		fmt.Fprintf(out, "\n%s (%s) qualifies as far as it was tried; what was skipped is not known.\n", which, version)
	default:
		fmt.Fprintf(out, "\n%s (%s) qualifies.\n", which, version)
	}
	if !own {
		fmt.Fprintf(out, "What was written is in streams that begin with %q, %q and %q. Nothing needs it: delete it when you like.\n", name, "$"+name, "$$"+name)
	}
	return code
}
