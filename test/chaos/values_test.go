package chaos_test

import (
	"testing"

	"github.com/sentryagent/agentidp/test/chaos"
)

// What is read must be the last that was acknowledged before, or something that
// may have come after that.
func TestReadsAreHeldAgainstWrites(t *testing.T) {
	t.Parallel()
	wrote := func(r *chaos.Recording, value string) { r.Wrote(r.Writes("tier", value), chaos.Acknowledged, true) }
	read := func(r *chaos.Recording, value string) {
		begin := r.Now()
		r.Shown(chaos.Read{Of: "tier", Value: value, Begin: begin, End: r.Now(), Request: "one"})
	}
	for name, c := range map[string]struct {
		happened func(*chaos.Recording)
		want     chaos.Rule
	}{
		"what was written last": {func(r *chaos.Recording) {
			wrote(r, "free")
			wrote(r, "pro")
			read(r, "pro")
		}, ""},
		"what was replaced": {func(r *chaos.Recording) {
			wrote(r, "free")
			wrote(r, "pro")
			read(r, "free")
		}, chaos.RuleRead},
		"what was replaced and written again": {func(r *chaos.Recording) {
			wrote(r, "free")
			wrote(r, "pro")
			wrote(r, "free")
			read(r, "free")
		}, ""},
		"what nobody wrote": {func(r *chaos.Recording) {
			wrote(r, "free")
			read(r, "gold")
		}, chaos.RuleRead},
		"what is written only later": {func(r *chaos.Recording) {
			wrote(r, "free")
			read(r, "pro")
			wrote(r, "pro")
		}, chaos.RuleRead},
		"either while it is being replaced": {func(r *chaos.Recording) {
			wrote(r, "free")
			r.Writes("tier", "pro")
			read(r, "free")
			read(r, "pro")
		}, ""},
		"what was begun to be replaced before the read and was after it": {func(r *chaos.Recording) {
			wrote(r, "free")
			w := r.Writes("tier", "pro")
			read(r, "free")
			r.Wrote(w, chaos.Acknowledged, true)
		}, ""},
		"what was refused": {func(r *chaos.Recording) {
			wrote(r, "free")
			r.Wrote(r.Writes("tier", "pro"), chaos.Refused, true)
			read(r, "pro")
		}, chaos.RuleRead},
		"what was refused to a repeat, and may have been done": {func(r *chaos.Recording) {
			wrote(r, "free")
			r.Wrote(r.Writes("tier", "pro"), chaos.Refused, false)
			read(r, "pro")
		}, ""},
		"what was lost and comes late": {func(r *chaos.Recording) {
			r.Wrote(r.Writes("tier", "free"), chaos.Unknown, false)
			wrote(r, "pro")
			read(r, "free")
		}, ""},
		"what an attempt before may write late": {func(r *chaos.Recording) {
			r.Wrote(r.Writes("tier", "free"), chaos.Acknowledged, false)
			wrote(r, "pro")
			read(r, "free")
		}, ""},
		"another's value": {func(r *chaos.Recording) {
			r.Wrote(r.Writes("another tier", "pro"), chaos.Acknowledged, true)
			wrote(r, "free")
			read(r, "pro")
		}, chaos.RuleRead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := chaos.NewRecording()
			c.happened(r)
			h, _ := sound(t).replay()
			mustFind(t, r.CheckAcknowledged(h), c.want)
		})
	}
}
