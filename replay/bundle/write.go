package bundle

import (
	"archive/tar"
	"encoding/json"
	"io"

	"github.com/sentryagent/agentidp/eventstore"
)

// bundleWriter writes members and keeps the manifest of them.
type bundleWriter struct {
	archive  *tar.Writer
	manifest *Manifest
}

func newBundleWriter(w io.Writer, manifest *Manifest) *bundleWriter {
	return &bundleWriter{archive: tar.NewWriter(w), manifest: manifest}
}

func (b *bundleWriter) add(name string, content []byte, lines int64) error {
	b.manifest.Members = append(b.manifest.Members, Member{
		Name: name, Size: int64(len(content)), SHA256: eventstore.HashOf(content), Lines: lines,
	})
	return b.write(name, content)
}

func (b *bundleWriter) write(name string, content []byte) error {
	const mode = 0o444
	err := b.archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: mode, ModTime: b.manifest.CreatedAt, Format: tar.FormatUSTAR,
	})
	if err == nil {
		_, err = b.archive.Write(content)
	}
	return err
}

// close writes the manifest and the end of the archive.
func (b *bundleWriter) close() error {
	content, err := json.MarshalIndent(b.manifest, "", "  ")
	if err == nil {
		err = b.write(manifestMember, append(content, '\n'))
	}
	if err == nil {
		err = b.archive.Close()
	}
	return err
}
