package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far a long work is, where standard error is a terminal;
// elsewhere it is silent. The total may be -1 when it is not known.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(w io.Writer, what string, total int64) progress {
	return progress{newBar(w, what, total)}
}

// newBar is a bar that counts events, nil where there is no terminal.
func newBar(w io.Writer, what string, total int64) *progressbar.ProgressBar {
	file, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionSetItsString("events"), progressbar.OptionShowIts(), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(true))
}

// add tells of more; a bar that cannot be drawn is no reason to stop.
func (p progress) add(events int) {
	if p.bar != nil {
		_ = p.bar.Add(events)
	}
}

// done takes the bar away.
func (p progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
