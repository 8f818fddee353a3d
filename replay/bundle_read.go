package replay

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/sentryagent/agentidp/eventstore"
)

// Bundle is a bundle that can be verified, as often as one likes.
type Bundle struct {
	Manifest Manifest
	source   io.ReaderAt
	offsets  map[string]int64
	key      string
	lines    []checkpointLine
}

// OpenBundle reads what a bundle says of itself; the events it leaves for
// [Bundle.Verify]. The source stays the caller's and must stay open. The error
// is [ErrBundle].
func OpenBundle(source interface {
	io.ReaderAt
	io.ReadSeeker
}) (*Bundle, error) {
	b := &Bundle{source: source, offsets: make(map[string]int64)}
	if err := b.index(source); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
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
		if _, twice := b.offsets[header.Name]; twice || header.Typeflag != tar.TypeReg || header.Size > maxMember {
			return fmt.Errorf("member %q does not belong there", header.Name)
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
	if err := json.Unmarshal(content, &b.Manifest); err != nil {
		return fmt.Errorf("the manifest: %w", err)
	}
	if b.Manifest.Format != BundleFormat {
		return fmt.Errorf("its format is %.40q, want %s", b.Manifest.Format, BundleFormat)
	}
	if len(b.Manifest.Members) != len(found)-1 {
		return fmt.Errorf("there are %d members, the manifest lists %d", len(found)-1, len(b.Manifest.Members))
	}
	for i, m := range b.Manifest.Members {
		if m.Name != found[i] || m.Size != sizes[m.Name] {
			return fmt.Errorf("member %q is not as the manifest lists it", found[i])
		}
	}
	return b.readSmall()
}

// readSmall reads what is not events or entries.
func (b *Bundle) readSmall() error {
	for _, m := range b.Manifest.Members {
		if m.Name != keyMember && m.Name != checkpointsMember {
			continue
		}
		content, err := b.member(m)
		if err != nil {
			return err
		}
		if m.Name == keyMember {
			b.key = strings.TrimSpace(string(content))
			continue
		}
		for lines := json.NewDecoder(bytes.NewReader(content)); ; {
			var line checkpointLine
			if err := lines.Decode(&line); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
			b.lines = append(b.lines, line)
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
func (u *unpacker) unpack(packed []byte, m Member, position eventstore.Position) ([]inspected, error) {
	if err := u.zip.Reset(bytes.NewReader(packed)); err != nil {
		return nil, fmt.Errorf("member %s: %w", m.Name, err)
	}
	var text bytes.Buffer
	text.Grow(memberBytes)
	n, err := io.Copy(&text, io.LimitReader(&u.zip, maxMember))
	if err != nil {
		return nil, fmt.Errorf("member %s: %w", m.Name, err)
	}
	if n == maxMember || n > 0 && text.Bytes()[n-1] != '\n' || m.Lines < 0 || m.Lines > n {
		return nil, fmt.Errorf("member %s is not lines of text, or too long", m.Name)
	}
	events := make([]inspected, 0, m.Lines)
	for rest := text.Bytes(); len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		event, reading := u.inspector.Read(rest[:end:end], position)
		events = append(events, inspected{Event: event, reading: reading})
		rest = rest[end+1:]
		position++
	}
	if int64(len(events)) != m.Lines {
		return nil, fmt.Errorf("member %s has %d lines, the manifest says %d", m.Name, len(events), m.Lines)
	}
	return events, nil
}
