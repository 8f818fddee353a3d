package transparency

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
)

// Whole names the log of the whole ledger. Every other log is that of the
// organization whose id it bears.
var Whole = uuid.Nil

// Leaf is an event on its way into the logs.
type Leaf struct {
	Organization uuid.UUID // uuid.Nil: nobody's, it is in the log of the whole ledger alone
	Position     eventstore.Position
	Entry        eventstore.Hash
}

// Geometry of the tiles (C2SP tlog-tiles).
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// Append adds leaves, in ledger order, to their logs. Leaves that are there
// already are passed over, so appending them again changes nothing.
func Append(ctx context.Context, tx pgx.Tx, leaves []Leaf) error {
	logs, err := loadLogs(ctx, tx, leaves)
	if err != nil {
		return err
	}
	grown := make(map[tileKey]*growth)
	for _, leaf := range leaves {
		logs[Whole].append(leaf, grown)
		if leaf.Organization != uuid.Nil {
			logs[leaf.Organization].append(leaf, grown)
		}
	}
	return storeLogs(ctx, tx, logs, grown)
}

// log is one log while leaves are added to it.
type log struct {
	id       uuid.UUID
	tree     *Tree
	position eventstore.Position // of its newest leaf
	changed  bool
}

type tileKey struct {
	log    uuid.UUID
	level  int
	number int64
}

// growth is what a tile gains.
type growth struct {
	first  eventstore.Position // position of the tile's first entry, if that is among them
	hashes []byte
}

func (l *log) append(leaf Leaf, grown map[tileKey]*growth) {
	if leaf.Position <= l.position {
		return
	}
	n := l.tree.Size()
	completed := l.tree.Append(leaf.Entry)
	l.position, l.changed = leaf.Position, true
	// The lowest tiles hold the entries themselves: their leaves follow from them.
	l.grow(grown, 0, n, leaf.Position, leaf.Entry[:])
	for level := 1; level*tileHeight < len(completed); level++ {
		l.grow(grown, level, n>>(level*tileHeight), 0, completed[level*tileHeight][:])
	}
}

func (l *log) grow(grown map[tileKey]*growth, level int, n int64, first eventstore.Position, hash []byte) {
	key := tileKey{l.id, level, n >> tileHeight}
	g := grown[key]
	if g == nil {
		g = &growth{first: first}
		grown[key] = g
	}
	g.hashes = append(g.hashes, hash...)
}

const selectLogs = `SELECT organization_id, size, edge, changed_position FROM transparency_logs WHERE organization_id = ANY($1)`

func loadLogs(ctx context.Context, tx pgx.Tx, leaves []Leaf) (map[uuid.UUID]*log, error) {
	logs := map[uuid.UUID]*log{Whole: {id: Whole, tree: &Tree{}}}
	ids := []uuid.UUID{Whole}
	for _, leaf := range leaves {
		if _, known := logs[leaf.Organization]; !known {
			logs[leaf.Organization] = &log{id: leaf.Organization, tree: &Tree{}}
			ids = append(ids, leaf.Organization)
		}
	}
	rows, err := tx.Query(ctx, selectLogs, ids)
	if err != nil {
		return nil, err
	}
	var id uuid.UUID
	var size int64
	var edge []byte
	var position eventstore.Position
	_, err = pgx.ForEachRow(rows, []any{&id, &size, &edge, &position}, func() (err error) {
		logs[id].position = position
		logs[id].tree, err = RestoreTree(size, edge)
		return err
	})
	return logs, err
}

const (
	storeLogRows = `INSERT INTO transparency_logs (organization_id, size, edge, changed_position)
		SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::bigint[])
		ON CONFLICT (organization_id) DO UPDATE
			SET (size, edge, changed_position) = (excluded.size, excluded.edge, excluded.changed_position)`

	growTiles = `INSERT INTO transparency_tiles AS t (organization_id, level, number, first_position, hashes)
		SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bytea[])
		ON CONFLICT (organization_id, level, number) DO UPDATE SET hashes = t.hashes || excluded.hashes`
)

func storeLogs(ctx context.Context, tx pgx.Tx, logs map[uuid.UUID]*log, grown map[tileKey]*growth) error {
	var ids []uuid.UUID
	var sizes, positions []int64
	var edges [][]byte
	for id, l := range logs {
		if l.changed {
			ids, sizes = append(ids, id), append(sizes, l.tree.Size())
			edges, positions = append(edges, l.tree.Edge()), append(positions, int64(l.position))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	batch.Queue(storeLogRows, ids, sizes, edges, positions)

	var owners []uuid.UUID
	var levels []int16
	var numbers, firsts []int64
	var hashes [][]byte
	for key, g := range grown {
		owners, levels, numbers = append(owners, key.log), append(levels, int16(key.level)), append(numbers, key.number)
		firsts, hashes = append(firsts, int64(g.first)), append(hashes, g.hashes)
	}
	batch.Queue(growTiles, owners, levels, numbers, firsts, hashes)
	return tx.SendBatch(ctx, batch).Close()
}
