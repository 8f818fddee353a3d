package transparency

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
)

// Tree is the right edge of a Merkle tree (RFC 6962 section 2.1): its complete
// subtrees, largest first, one for each bit of its size. The zero Tree is empty.
// It is not safe for concurrent use.
type Tree struct {
	size int64
	edge []tlog.Hash
}

// Size is how many entries there are.
func (t *Tree) Size() int64 { return t.size }

// Append adds an entry. It returns the hash of its leaf and those of the
// subtrees that it completes, from the lowest level up.
func (t *Tree) Append(entry eventstore.Hash) []tlog.Hash {
	completed, err := tlog.StoredHashesForRecordHash(t.size, tlog.RecordHash(entry[:]), tlog.HashReaderFunc(t.read))
	if err != nil {
		panic(err) // it asks for what is on the edge
	}
	kept := len(t.edge) - (len(completed) - 1)
	t.edge = append(t.edge[:kept], completed[len(completed)-1])
	t.size++
	return completed
}

// Root is the root hash of the tree as it is.
func (t *Tree) Root() tlog.Hash {
	root, err := tlog.TreeHash(t.size, tlog.HashReaderFunc(t.read))
	if err != nil {
		panic(err) // likewise
	}
	return root
}

// Clone is a tree that grows by itself from here.
func (t *Tree) Clone() *Tree { return &Tree{size: t.size, edge: append([]tlog.Hash(nil), t.edge...)} }

func (t *Tree) read(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		complete := t.size >> level
		if complete&1 == 0 || n != complete-1 {
			return nil, fmt.Errorf("subtree %d of level %d is not on the edge of a tree of %d entries", n, level, t.size)
		}
		hashes[i] = t.edge[bits.OnesCount64(uint64(complete))-1]
	}
	return hashes, nil
}

var errTree = errors.New("the stored edge is not that of a tree of its size")

// Edge is the tree as bytes, to go on from its size with [RestoreTree].
func (t *Tree) Edge() []byte {
	edge := make([]byte, 0, len(t.edge)*tlog.HashSize)
	for _, hash := range t.edge {
		edge = append(edge, hash[:]...)
	}
	return edge
}

// RestoreTree is the tree of a size whose [Tree.Edge] was kept.
func RestoreTree(size int64, edge []byte) (*Tree, error) {
	if size < 0 || len(edge) != bits.OnesCount64(uint64(size))*tlog.HashSize {
		return nil, errTree
	}
	t := &Tree{size: size, edge: make([]tlog.Hash, len(edge)/tlog.HashSize)}
	for i := range t.edge {
		copy(t.edge[i][:], edge[i*tlog.HashSize:])
	}
	return t, nil
}
