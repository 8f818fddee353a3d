package model

import (
	"encoding/json"
	"time"
)

// Metadata is what the metadata of a stream hide of it. Nil fields hide
// nothing.
type Metadata struct {
	TruncateBefore *int64          `json:"$tb,omitempty"`
	MaxCount       *int64          `json:"$maxCount,omitempty"`
	MaxAge         *int64          `json:"$maxAge,omitempty"` // seconds
	ACL            json.RawMessage `json:"$acl,omitempty"`
}

// parseMetadata is lenient as the server is: what is no metadata hides nothing.
func parseMetadata(data []byte) *Metadata {
	var m Metadata
	if json.Unmarshal(data, &m) != nil {
		return &Metadata{}
	}
	return &m
}

// deleted reports a soft delete.
func (m *Metadata) deleted() bool {
	return m != nil && m.TruncateBefore != nil && *m.TruncateBefore == DeletedRevision
}

// first is the lowest revision that is to be seen of a stream with this newest
// one.
func (m *Metadata) first(newest int64) (revision int64) {
	if m == nil {
		return 0
	}
	if m.TruncateBefore != nil {
		revision = *m.TruncateBefore
	}
	if m.MaxCount != nil {
		revision = max(revision, newest+1-*m.MaxCount)
	}
	return revision
}

func (m *Metadata) tooOld(r *Record) bool {
	return m != nil && m.MaxAge != nil && time.Since(r.Created) > time.Duration(*m.MaxAge)*time.Second
}

// isMetastream reports that a stream holds the metadata of another one.
func isMetastream(name string) bool { return len(name) > 2 && name[:2] == "$$" }

func metastreamOf(name string) string { return "$$" + name }

func originalOf(metastream string) string { return metastream[2:] }

// ofMetastreams is what the server itself says of every metadata stream.
var ofMetastreams = &Metadata{MaxCount: new(int64(1))}

// truncatedAt are the metadata of a stream that goes on behind a soft delete.
func truncatedAt(data []byte, revision int64) []byte {
	all := map[string]json.RawMessage{}
	_ = json.Unmarshal(data, &all) // what is no metadata is replaced
	all["$tb"], _ = json.Marshal(revision)
	merged, _ := json.Marshal(all)
	return merged
}
