package model

import (
	"context"
	"encoding/json"
	"strconv"
)

// Delete hides all events of a stream, until it is written to again.
func (n *Node) Delete(ctx context.Context, insists bool, stream string, expected int64) (Appended, error) {
	return n.remove(ctx, insists, stream, expected, func(leader *Node) *Record {
		return leader.c.log.addOwn(metastreamOf(stream), typeMetadata, `{"$tb":`+strconv.FormatInt(DeletedRevision, 10)+`}`)
	})
}

// Tombstone ends a stream for good.
func (n *Node) Tombstone(ctx context.Context, insists bool, stream string, expected int64) (Appended, error) {
	return n.remove(ctx, insists, stream, expected, func(leader *Node) *Record {
		l := leader.c.log
		return l.put(l.stream(stream), newRecord(stream, DeletedRevision, l.end, Proposed{ID: l.ownID(), Type: typeDeleted, ContentType: contentJSON}))
	})
}

func (n *Node) remove(ctx context.Context, insists bool, name string, expected int64, make func(leader *Node) *Record) (Appended, error) {
	return n.write(ctx, insists, name, func(leader *Node) (check, commit func() (Appended, error)) {
		check = func() (Appended, error) {
			if name == "" {
				return Appended{}, errNoName
			}
			done, err := leader.check(name, expected, nil)
			if done.Wrong {
				return Appended{}, errWrongRevision(name, expected, done.Current)
			}
			return done, err
		}
		return check, func() (Appended, error) {
			current := leader.c.log.look(name, leader.c.log.end).newest()
			r := make(leader)
			leader.seen = leader.c.log.end
			return Appended{Current: current, Position: r.Position}, nil
		}
	})
}

// SetMetadata writes the metadata of a stream.
func (n *Node) SetMetadata(ctx context.Context, insists bool, stream string, id ID, m Metadata) (Appended, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return Appended{}, err
	}
	return n.Append(ctx, insists, metastreamOf(stream), ExpectAny, []Proposed{{ID: id, Type: typeMetadata, ContentType: contentJSON, Data: data}})
}
