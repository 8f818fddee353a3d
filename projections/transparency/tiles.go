package transparency

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

const selectTiles = `SELECT t.level, t.number, t.hashes FROM unnest($2::smallint[], $3::bigint[]) AS w(level, number)
	JOIN transparency_tiles t ON t.organization_id = $1 AND t.level = w.level AND t.number = w.number`

// place is where a tile is, whatever its width.
type place struct {
	level  int
	number int64
}

// tiles reads tiles as they are stored.
func (l *Logs) tiles(ctx context.Context, id uuid.UUID, wanted map[place][]byte) error {
	var levels []int16
	var numbers []int64
	for at := range wanted {
		levels, numbers = append(levels, int16(at.level)), append(numbers, at.number)
	}
	return l.ask(ctx, id, selectTiles, []any{id, levels, numbers}, func(row pgx.CollectableRow) error {
		var at place
		var hashes []byte
		err := row.Scan(&at.level, &at.number, &hashes)
		wanted[at] = hashes
		return err
	})
}

// hashes answers tlog's questions about a log from its tiles, each in one
// round trip.
func (l *Logs) hashes(ctx context.Context, id uuid.UUID) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		stored := make(map[place][]byte)
		for _, index := range indexes {
			tile := tlog.TileForIndex(tileHeight, index)
			stored[place{tile.L, tile.N}] = nil
		}
		if err := l.tiles(ctx, id, stored); err != nil {
			return nil, err
		}
		for at, hashes := range stored {
			if at.level == 0 {
				stored[at] = leaves(hashes)
			}
		}
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			tile := tlog.TileForIndex(tileHeight, index)
			data := stored[place{tile.L, tile.N}]
			if len(data) < tile.W*tlog.HashSize {
				return nil, fmt.Errorf("%w: tile %s", ErrNotLogged, TilePath(tile))
			}
			var err error
			if hashes[i], err = tlog.HashFromTile(tile, data, index); err != nil {
				return nil, err
			}
		}
		return hashes, nil
	})
}

// leaves are the leaf hashes of entries.
func leaves(entries []byte) []byte {
	hashes := make([]byte, 0, len(entries))
	for ; len(entries) >= tlog.HashSize; entries = entries[tlog.HashSize:] {
		leaf := tlog.RecordHash(entries[:tlog.HashSize])
		hashes = append(hashes, leaf[:]...)
	}
	return hashes
}

// Tile is a tile as C2SP tlog-tiles serves it: the hashes of a level, or with
// level -1 the bundle of entries, each behind its length in two bytes. One that
// the log does not have, or not in that width, is [ErrNotLogged].
func (l *Logs) Tile(ctx context.Context, id uuid.UUID, tile tlog.Tile) ([]byte, error) {
	at := place{max(tile.L, 0), tile.N}
	stored := map[place][]byte{at: nil}
	if err := l.tiles(ctx, id, stored); err != nil {
		return nil, err
	}
	data := stored[at]
	if tile.H != tileHeight || len(data) < tile.W*tlog.HashSize {
		return nil, fmt.Errorf("%w: tile %s", ErrNotLogged, TilePath(tile))
	}
	data = data[:tile.W*tlog.HashSize]
	switch tile.L {
	case -1:
		return bundle(data), nil
	case 0:
		return leaves(data), nil
	}
	return data, nil
}

func bundle(entries []byte) []byte {
	b := make([]byte, 0, len(entries)+len(entries)/tlog.HashSize*2)
	for ; len(entries) >= tlog.HashSize; entries = entries[tlog.HashSize:] {
		b = binary.BigEndian.AppendUint16(b, tlog.HashSize)
		b = append(b, entries[:tlog.HashSize]...)
	}
	return b
}

// tlog names tiles of all heights, tlog-tiles those of height 8.
const (
	pathPrefix    = "tile/"
	entriesPrefix = pathPrefix + "entries/"
	tlogPrefix    = "tile/8/"
	tlogData      = tlogPrefix + "data/"
)

// TilePath is the path of a tile of height 8 (C2SP tlog-tiles).
func TilePath(tile tlog.Tile) string {
	if rest, isData := strings.CutPrefix(tile.Path(), tlogData); isData {
		return entriesPrefix + rest
	}
	return pathPrefix + strings.TrimPrefix(tile.Path(), tlogPrefix)
}

// ParseTilePath is the reverse of [TilePath].
func ParseTilePath(path string) (tlog.Tile, error) {
	if rest, isEntries := strings.CutPrefix(path, entriesPrefix); isEntries {
		return tlog.ParseTilePath(tlogData + rest)
	}
	rest, _ := strings.CutPrefix(path, pathPrefix)
	return tlog.ParseTilePath(tlogPrefix + rest)
}
