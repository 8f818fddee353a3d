package transparency

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
)

// grown is a world whose logs span several tiles, filled in uneven batches.
func grown(t *testing.T) *world {
	w := newWorld(t)
	for _, n := range []int{1, 2, 300, 7, 512, 90} {
		w.grow(t, n)
	}
	return w
}

func TestLogsHoldEveryEventInOrder(t *testing.T) {
	w := grown(t)
	for _, id := range []uuid.UUID{Whole, ours, theirs} {
		want := w.entries(id)
		state, err := w.State(t.Context(), id)
		if err != nil || state.Size() != int64(len(want)) {
			t.Fatalf("log %s has %d entries (%v), want %d", id, state.Size(), err, len(want))
		}
		for _, span := range [][2]int64{{0, state.Size()}, {0, 1}, {255, 258}, {state.Size() - 1, state.Size()}, {3, 3}} {
			if span[1] > state.Size() {
				continue
			}
			got := []eventstore.Hash{}
			for e, err := range w.Entries(t.Context(), id, span[0], span[1]) {
				if err != nil {
					t.Fatalf("entries %v of log %s: %v", span, id, err)
				}
				got = append(got, e)
			}
			if !slices.Equal(got, want[span[0]:span[1]]) {
				t.Errorf("entries %v of log %s are not those of its events", span, id)
			}
		}
		for _, beyond := range [][2]int64{{0, state.Size() + 1}, {state.Size() + 4096, state.Size() + 4097}} {
			var last error
			for _, err := range w.Entries(t.Context(), id, beyond[0], beyond[1]) {
				last = err
			}
			if !errors.Is(last, ErrNotLogged) {
				t.Errorf("entries %v of a log of %d: %v, want ErrNotLogged", beyond, state.Size(), last)
			}
		}
	}
}

func TestAppendingAgainChangesNothing(t *testing.T) {
	w := grown(t)
	before := w.dump(t)
	w.append(t, w.kept)
	w.append(t, w.kept[len(w.kept)-10:])
	if diff := cmp.Diff(before, w.dump(t)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}

func (w *world) dump(t *testing.T) []string {
	t.Helper()
	rows, err := w.superuser.Query(t.Context(), `SELECT l::text FROM transparency_logs l UNION ALL
		SELECT concat(organization_id, level, number, first_position, encode(sha256(hashes), 'hex')) FROM transparency_tiles ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestProofsVerifyWithTlog(t *testing.T) {
	w := grown(t)
	ctx := t.Context()
	for _, id := range []uuid.UUID{Whole, ours} {
		entries := w.entries(id)
		reference := treeOf(t, entries)
		sizes := []int64{1, 2, 100, 255, 256, 257, int64(len(entries)) - 1, int64(len(entries))}
		for _, size := range sizes {
			root, err := w.Root(ctx, id, size)
			if want := rootOf(t, reference, size); err != nil || root != want {
				t.Fatalf("root at %d: %s (%v), want %s", size, root, err, want)
			}
			for _, index := range []int64{0, size / 2, size - 1} {
				proof, err := w.ProveInclusion(ctx, id, size, index)
				if err == nil {
					err = tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(entries[index][:]))
				}
				if err != nil {
					t.Errorf("inclusion of %d in %d: %v", index, size, err)
				}
			}
			for _, from := range sizes {
				if from > size {
					continue
				}
				proof, err := w.ProveConsistency(ctx, id, from, size)
				if err == nil {
					err = tlog.CheckTree(proof, size, root, from, rootOf(t, reference, from))
				}
				if err != nil {
					t.Errorf("consistency of %d with %d: %v", size, from, err)
				}
			}
		}
	}
}

func TestEventsAreFoundInTheirLogs(t *testing.T) {
	w := grown(t)
	for _, id := range []uuid.UUID{Whole, ours, theirs} {
		index := int64(0)
		for _, leaf := range w.kept {
			in := id == Whole || leaf.Organization == id
			if leaf.Position%37 != 0 && in {
				index++
				continue // some will do
			}
			got, err := w.Index(t.Context(), id, leaf.Position, leaf.Entry)
			switch {
			case in && (err != nil || got != index):
				t.Errorf("position %d is entry %d of log %s (%v), want %d", leaf.Position, got, id, err, index)
			case !in && !errors.Is(err, ErrNotLogged):
				t.Errorf("position %d is entry %d of log %s (%v), want none", leaf.Position, got, id, err)
			}
			if in {
				index++
			}
		}
	}
}

// A reader that knows nothing but tiles and the root gets at every hash.
func TestTilesAreEnoughForForeignReaders(t *testing.T) {
	w := grown(t)
	entries := w.entries(Whole)
	tree := tlog.Tree{N: int64(len(entries))}
	tree.Hash = rootOf(t, treeOf(t, entries), tree.N)
	reader := tlog.TileHashReader(tree, tileReader{t, w})
	for _, index := range []int64{0, 255, 256, 700, tree.N - 1} {
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil || hashes[0] != tlog.RecordHash(entries[index][:]) {
			t.Errorf("leaf %d: %v (%v)", index, hashes, err)
		}
	}
	bundle, err := w.Tile(t.Context(), Whole, tlog.Tile{H: tileHeight, L: -1, N: 1, W: 3})
	if err != nil || len(bundle) != 3*34 || [32]byte(bundle[34+2:]) != entries[257] {
		t.Errorf("bundle of 3 entries: %x (%v)", bundle, err)
	}
	for _, tile := range []tlog.Tile{{H: 8, L: 0, N: 3, W: 256}, {H: 8, L: 1, N: 0, W: 4}, {H: 8, L: 7, N: 0, W: 1}, {H: 8, L: -1, N: 9, W: 1}} {
		if _, err := w.Tile(t.Context(), Whole, tile); !errors.Is(err, ErrNotLogged) {
			t.Errorf("tile %s of %d entries: %v, want ErrNotLogged", TilePath(tile), tree.N, err)
		}
	}
}

type tileReader struct {
	t *testing.T
	w *world
}

func (r tileReader) Height() int                     { return tileHeight }
func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
func (r tileReader) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		parsed, err := ParseTilePath(TilePath(tile))
		if err != nil || parsed != tile {
			r.t.Errorf("path %s is parsed as %v (%v)", TilePath(tile), parsed, err)
		}
		content, err := r.w.Tile(r.t.Context(), Whole, parsed)
		if err != nil {
			return nil, err
		}
		data = append(data, content)
	}
	return data, nil
}

func TestAnOrganizationsRightsEndAtItsLog(t *testing.T) {
	w := grown(t)
	const count = `SELECT count(*) FROM transparency_tiles WHERE organization_id = $1`
	for asked, want := range map[uuid.UUID]bool{ours: true, theirs: false, Whole: false} {
		err := NewLogs(w.pool).ask(t.Context(), ours, count, []any{asked}, func(row pgx.CollectableRow) error {
			var n int
			err := row.Scan(&n)
			if n > 0 != want {
				t.Errorf("with our rights there are %d tiles of log %s, want any: %v", n, asked, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
