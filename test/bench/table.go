package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// table is what a run has measured.
type table struct {
	Machine []fact `json:"machine"`
	Rows    []row  `json:"rows"`
}

// fact is one thing that is good to know of the machine.
type fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// row is one figure beside what bounds it.
type row struct {
	Name     string   `json:"name"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Latency  *latency `json:"latency,omitempty"`
	Client   float64  `json:"clientCPU,omitempty"` // share of all cores that the load generator took
	Baseline string   `json:"baseline,omitempty"`  // what the figure stands beside
	Beside   float64  `json:"besideValue,omitempty"`
	Target   *target  `json:"target,omitempty"`
	Verdict  string   `json:"verdict,omitempty"` // ok, or short and in what
}

// latency are percentiles, in milliseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// target is what a row is held to; a bound of zero is none.
type target struct {
	Ratio float64 `json:"ratio,omitempty"` // of the baseline, at least
	Most  float64 `json:"most,omitempty"`  // ratio of the baseline, at most
	Value float64 `json:"value,omitempty"` // at least
	Under float64 `json:"under,omitempty"` // at most
	P95   float64 `json:"p95,omitempty"`   // in milliseconds, less than
}

func (t *target) String() string {
	if t == nil {
		return ""
	}
	var parts []string
	if t.Ratio > 0 {
		parts = append(parts, fmt.Sprintf(">= %.2fx", t.Ratio))
	}
	if t.Most > 0 {
		parts = append(parts, fmt.Sprintf("<= %.2fx", t.Most))
	}
	if t.Value > 0 {
		parts = append(parts, fmt.Sprintf(">= %s", thousands(t.Value)))
	}
	if t.Under > 0 {
		parts = append(parts, fmt.Sprintf("<= %s", thousands(t.Under)))
	}
	if t.P95 > 0 {
		parts = append(parts, fmt.Sprintf("p95 < %.0f ms", t.P95))
	}
	return strings.Join(parts, ", ")
}

func (r *row) ratio() float64 {
	if r.Beside == 0 {
		return 0
	}
	return r.Value / r.Beside
}

// judge says in what the row falls short of its target.
func (r *row) judge() string {
	t := r.Target
	if t == nil {
		return ""
	}
	var short []string
	if t.Ratio > 0 && r.ratio() < t.Ratio || t.Most > 0 && r.ratio() > t.Most {
		short = append(short, "ratio")
	}
	if r.Value < t.Value || t.Under > 0 && r.Value > t.Under {
		short = append(short, "value")
	}
	if t.P95 > 0 && r.Latency.P95 >= t.P95 {
		short = append(short, "p95")
	}
	if len(short) == 0 {
		return "ok"
	}
	return "SHORT: " + strings.Join(short, ", ")
}

// add takes a row into the table and tells about it.
func (b *bench) add(r row) {
	r.Verdict = r.judge()
	b.Rows = append(b.Rows, r)
	line := fmt.Sprintf("%s: %s %s", r.Name, thousands(r.Value), r.Unit)
	if r.Latency != nil {
		line += fmt.Sprintf(", p95 %.1f ms", r.Latency.P95)
	}
	if r.Beside > 0 {
		line += fmt.Sprintf(", %.2fx %s", r.ratio(), r.Baseline)
	}
	b.say(strings.TrimSpace(line + "  " + r.Verdict))
}

func (t *table) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(t)
}

func (t *table) write(w io.Writer) error {
	for _, f := range t.Machine {
		fmt.Fprintf(w, "%-12s %s\n", f.Name, f.Value)
	}
	fmt.Fprintln(w)
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "\tfigure\t\tp50 ms\tp95\tp99\tclient CPU\tbaseline\t\tratio\ttarget\t")
	for i := range t.Rows {
		r := &t.Rows[i]
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, thousands(r.Value), r.Unit,
			r.Latency, share(r.Client), r.Baseline, r.beside(), r.Target, r.Verdict)
	}
	return columns.Flush()
}

func (l *latency) String() string {
	if l == nil {
		return "\t\t"
	}
	return fmt.Sprintf("%.2f\t%.2f\t%.2f", l.P50, l.P95, l.P99)
}

func (r *row) beside() string {
	if r.Beside == 0 {
		return "\t"
	}
	return fmt.Sprintf("%s\t%.2fx", thousands(r.Beside), r.ratio())
}

func share(part float64) string {
	if part == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*part)
}

// thousands writes a figure with three digits that count, or all before the point.
func thousands(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.3g", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
