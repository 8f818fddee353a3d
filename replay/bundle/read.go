package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/replay/verify"
)

// maxName bounds the name of a member.
const maxName = 64

// Bundle is a bundle that can be verified, as often as one likes.
type Bundle struct {
	Manifest Manifest
	source   io.ReaderAt
	offsets  map[string]int64
	key      string
}

// Open reads what a bundle says of itself; the events it leaves for
// [Bundle.Verify]. The source stays the caller's and must stay open. The error
// is [ErrDamaged].
func Open(source interface {
	io.ReaderAt
	io.ReadSeeker
}) (*Bundle, error) {
	b := &Bundle{source: source, offsets: make(map[string]int64)}
	if err := b.index(source); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return b, nil
}

// VerifierKey is the key that the bundle brings along. It is worth as much as
// the way it came by: pin one that came by another.
func (b *Bundle) VerifierKey() string { return b.key }

// index finds the members and holds the manifest against them.
func (b *Bundle) index(source io.ReadSeeker) error {
	if _, err := source.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var found []string
	sizes := make(map[string]int64)
	for archive := tar.NewReader(source); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if _, twice := b.offsets[header.Name]; twice || header.Typeflag != tar.TypeReg || header.Size > maxSize(header.Name) || len(header.Name) > maxName {
			return fmt.Errorf("member %.80q does not belong there, or is larger than any that is written", header.Name)
		}
		if len(found) == maxMembers {
			return fmt.Errorf("there are more than %d members", maxMembers)
		}
		if b.offsets[header.Name], err = source.Seek(0, io.SeekCurrent); err != nil {
			return err
		}
		sizes[header.Name] = header.Size
		found = append(found, header.Name)
	}
	if len(found) == 0 || found[len(found)-1] != manifestMember {
		return errors.New("there is no manifest at its end: was it cut off?")
	}
	content, err := b.read(Member{Name: manifestMember, Size: sizes[manifestMember]})
	if err != nil {
		return err
	}
	if bytes.Count(content, []byte("{")) > len(found) {
		return errors.New("the manifest lists more members than there are")
	}
	if err := json.Unmarshal(content, &b.Manifest); err != nil {
		return fmt.Errorf("the manifest: %w", err)
	}
	if b.Manifest.Format != Format {
		return fmt.Errorf("its format is %.40q, want %s", b.Manifest.Format, Format)
	}
	if len(b.Manifest.Members) != len(found)-1 {
		return fmt.Errorf("there are %d members, the manifest lists %d", len(found)-1, len(b.Manifest.Members))
	}
	for i, m := range b.Manifest.Members {
		if m.Name != found[i] || m.Size != sizes[m.Name] {
			return fmt.Errorf("member %q is not as the manifest lists it", found[i])
		}
	}
	return errors.Join(b.count(), b.readKey())
}

// count holds the numbers of the manifest against each other. Fewer events than
// entries are a finding, and for verification; entries are never fewer: without
// them nothing would be known of the events.
func (b *Bundle) count() error {
	m := &b.Manifest
	var events, entries int64
	for _, member := range m.Members {
		switch {
		case strings.HasPrefix(member.Name, "events/"):
			if member.Lines < 1 || member.Lines > memberRecords {
				return fmt.Errorf("member %s has %d records, want 1 to %d", member.Name, member.Lines, memberRecords)
			}
			events += member.Lines
		case strings.HasPrefix(member.Name, "entries/"):
			entries += member.Size / int64(len(eventstore.Hash{}))
		}
	}
	if events != m.Events || entries != m.Entries {
		return fmt.Errorf("it has %d events and %d log entries, the manifest says %d and %d", events, entries, m.Events, m.Entries)
	}
	if entries < events {
		return fmt.Errorf("it has %d events and log entries for %d of them only: the rest is proven by nothing. Something was left out; ask for a new export", events, entries)
	}
	return nil
}

// readKey reads the key that the bundle brings along.
func (b *Bundle) readKey() error {
	for _, m := range b.Manifest.Members {
		if m.Name == keyMember {
			content, err := b.member(m)
			b.key = strings.TrimSpace(string(content))
			return err
		}
	}
	return nil
}

// checkpoints reads the lines of the signed ones, one at a time: there may be any
// number of them. The error is [ErrDamaged].
func (b *Bundle) checkpoints(yield func(checkpointLine) bool) error {
	for _, m := range b.Manifest.Members {
		if m.Name != checkpointsMember {
			continue
		}
		hash := sha256.New()
		content := io.NewSectionReader(b.source, b.offsets[m.Name], m.Size)
		lines := bufio.NewScanner(io.TeeReader(content, hash))
		lines.Buffer(make([]byte, 0, maxLine), maxLine)
		for lines.Scan() {
			var line checkpointLine
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrDamaged, m.Name, err)
			}
			if !yield(line) {
				return nil
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, m.Name, err)
		}
		if eventstore.Hash(hash.Sum(nil)) != m.SHA256 {
			return fmt.Errorf("%w: member %s has other bytes than the manifest says", ErrDamaged, m.Name)
		}
	}
	return nil
}

// member reads a member and holds it against the manifest.
func (b *Bundle) member(m Member) ([]byte, error) {
	content, err := b.read(m)
	if err == nil && eventstore.HashOf(content) != m.SHA256 {
		err = fmt.Errorf("member %s has other bytes than the manifest says", m.Name)
	}
	return content, err
}

func (b *Bundle) read(m Member) ([]byte, error) {
	content := make([]byte, m.Size)
	if _, err := b.source.ReadAt(content, b.offsets[m.Name]); err != nil {
		return nil, fmt.Errorf("member %s: %w", m.Name, err)
	}
	return content, nil
}

// membersOf lists the members whose name begins with a folder.
func (b *Bundle) membersOf(folder string) (members []Member) {
	for _, m := range b.Manifest.Members {
		if strings.HasPrefix(m.Name, folder) {
			members = append(members, m)
		}
	}
	return members
}

// unpacker unpacks members of events. It keeps its buffers between them, so
// each goroutine has its own.
type unpacker struct {
	zip       gzip.Reader
	inspector eventstore.Inspector
}

// unpack makes events of a member, the first of which is at a position.
func (u *unpacker) unpack(packed []byte, m Member, position eventstore.Position) ([]verify.Inspected, error) {
	if err := u.zip.Reset(bytes.NewReader(packed)); err != nil {
		return nil, fmt.Errorf("member %s: %w", m.Name, err)
	}
	var text bytes.Buffer
	text.Grow(int(min(m.Size*shrinks, maxUnpacked)) + bytes.MinRead)
	n, err := io.Copy(&text, io.LimitReader(&u.zip, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("member %s: %w", m.Name, err)
	}
	switch {
	case n > maxUnpacked:
		return nil, fmt.Errorf("member %s unpacks to more than %d bytes", m.Name, int64(maxUnpacked))
	case n == 0 || text.Bytes()[n-1] != '\n':
		return nil, fmt.Errorf("member %s is not lines of text", m.Name)
	case int64(bytes.Count(text.Bytes(), []byte("\n"))) != m.Lines:
		return nil, fmt.Errorf("member %s has not the %d lines that the manifest says", m.Name, m.Lines)
	}
	events := make([]verify.Inspected, 0, m.Lines)
	for rest := text.Bytes(); len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		event, reading := u.inspector.Read(rest[:end:end], position)
		events = append(events, verify.Inspect(&event, &reading))
		rest = rest[end+1:]
		position++
	}
	return events, nil
}
