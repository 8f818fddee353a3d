package transparency

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
)

// Remembered is the checkpoint of a log that was signed last, or was about to
// be when the signer died.
type Remembered struct {
	Checkpoint
	Position eventstore.Position // of the newest event in it
	At       time.Time
}

// Memory is what a [Signer] remembers, in a file: outside the database, so that
// neither who restores that nor who rewrites it takes the memory along. Signers
// that share the file agree; a lock beside it has them take turns.
//
// The file has a first line that names the format and then a line for each log,
// sorted: origin, size, root hash in base64, time and position. It is replaced
// as a whole, and on disk before anything is signed.
type Memory struct {
	path     string
	patience time.Duration // the longest wait for another signer's turn
}

// OpenMemory is the memory in a file, which need not exist yet; its directory has to.
func OpenMemory(path string) *Memory {
	const patience = 10 * time.Second
	return &Memory{path, patience}
}

// Path is where it is.
func (m *Memory) Path() string { return m.path }

const memoryFormat = "agentidp.checkpoints/1"

// ErrMemory: the file is there and cannot be read as what it should be. Nothing
// is signed then.
var ErrMemory = errors.New("the file of signed checkpoints is damaged")

// Load reads what is remembered, by origin; nothing where there is no file.
func (m *Memory) Load() (map[string]Remembered, error) {
	content, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Remembered{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the signed checkpoints: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	if !lines.Scan() || lines.Text() != memoryFormat {
		return nil, fmt.Errorf("%w: %s does not begin with %s", ErrMemory, m.path, memoryFormat)
	}
	known := make(map[string]Remembered)
	for lines.Scan() {
		var r Remembered
		var root, at string
		_, err := fmt.Sscanf(lines.Text(), "%s %d %s %s %d", &r.Origin, &r.Size, &root, &at, &r.Position)
		if err == nil {
			r.Root, err = tlog.ParseHash(root)
		}
		if err == nil {
			r.At, err = time.Parse(time.RFC3339, at)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s, at %q: %w", ErrMemory, m.path, lines.Text(), err)
		}
		known[r.Origin] = r
	}
	return known, lines.Err()
}

// change lets change what is remembered, while no other signer does, and has it
// on disk when it returns nil. When change fails nothing changes. It waits for
// the others' turns until ctx ends, for a while at most: a signer that is frozen
// in its turn keeps it, and nobody signs until it wakes up or is killed.
func (m *Memory) change(ctx context.Context, change func(known map[string]Remembered) error) error {
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	known, err := m.Load()
	if err != nil {
		return err
	}
	before := maps.Clone(known)
	if err := change(known); err != nil || maps.Equal(before, known) {
		return err
	}
	return m.replace(known)
}

func (m *Memory) lock(ctx context.Context) (unlock func(), err error) {
	const private, recheck = 0o600, 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	file, err := os.OpenFile(m.path+".lock", os.O_CREATE|os.O_RDWR, private)
	if err != nil {
		return nil, fmt.Errorf("lock the signed checkpoints: %w", err)
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // which ends the lock
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			select {
			case <-time.After(recheck):
				continue
			case <-ctx.Done():
				err = fmt.Errorf("%w: another signer has it: %w", eventstore.ErrUnavailable, ctx.Err())
			}
		}
		_ = file.Close()
		return nil, fmt.Errorf("lock the signed checkpoints: %w", err)
	}
}

func (m *Memory) replace(known map[string]Remembered) (err error) {
	var content bytes.Buffer
	fmt.Fprintln(&content, memoryFormat)
	for _, origin := range slices.Sorted(maps.Keys(known)) {
		r := known[origin]
		fmt.Fprintln(&content, origin, r.Size, r.Root, r.At.UTC().Format(time.RFC3339), r.Position)
	}
	dir := filepath.Dir(m.path)
	file, err := os.CreateTemp(dir, filepath.Base(m.path)+".new-*")
	if err != nil {
		return fmt.Errorf("write the signed checkpoints: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
			err = fmt.Errorf("write the signed checkpoints: %w", err)
		}
	}()
	_, err = file.Write(content.Bytes())
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), m.path); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
