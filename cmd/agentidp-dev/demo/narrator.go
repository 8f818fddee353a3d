package demo

import (
	"fmt"
	"io"
	"os"
)

// narrator prints the story, in colour on a terminal (https://no-color.org).
type narrator struct {
	out    io.Writer
	colour bool
	steps  int
}

func newNarrator(out io.Writer) *narrator {
	n := &narrator{out: out}
	if file, isFile := out.(*os.File); isFile && os.Getenv("NO_COLOR") == "" {
		info, err := file.Stat()
		n.colour = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return n
}

const (
	bold  = "1"
	green = "32"
	red   = "31"
	cyan  = "36"
)

func (n *narrator) paint(colour, s string) string {
	if !n.colour {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// step opens a step with its sentence.
func (n *narrator) step(sentence string) {
	n.steps++
	fmt.Fprintf(n.out, "\n%s %s\n", n.paint(bold, fmt.Sprintf("%2d", n.steps)), n.paint(bold, sentence))
}

// show is something that was seen.
func (n *narrator) show(what, seen string) {
	fmt.Fprintf(n.out, "   %s  %s\n", n.paint(cyan, fmt.Sprintf("%-24s", what)), seen)
}

func (n *narrator) say(colour, line string) { fmt.Fprintf(n.out, "\n%s\n", n.paint(colour, line)) }
