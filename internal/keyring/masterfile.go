package keyring

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// LoadMasterKey reads the master key from path: 32 bytes as base64 text in a regular file that only its owner can
// use, or its group where that is this process's own. Whatever else is there gives ErrMasterKeyFile; a missing file gives an error that is fs.ErrNotExist.
func LoadMasterKey(path string) (*MasterKey, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open master key: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open master key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrMasterKeyFile, path)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 || mode&0o070 != 0 && !ownGroup(info) {
		return nil, fmt.Errorf("%w: %s has mode %#o, others than its owner can use it: chmod 600 it, and replace the key if they may have; "+
			"a group can use it only where that is the group this program runs as", ErrMasterKeyFile, path, mode)
	}
	text := make([]byte, 128)
	n, err := file.Read(text)
	if err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", ErrMasterKeyFile, path, err)
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not base64 text", ErrMasterKeyFile, path)
	}
	return newMasterKey(secret)
}

// ownGroup says whether a file's group is the one that this process runs as. Kubernetes gives the files of a volume to
// the group of the pod, and the group its rights to them, whatever their mode was. A group that the process is merely a
// member of as well may have other members.
func ownGroup(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Gid) == os.Getegid()
}

// LoadOrCreateMasterKey is LoadMasterKey, but a missing file is made first, mode 0600 in a directory that is made with
// mode 0700. Processes that start at the same moment agree on one key: the file appears complete or not at all, and
// the first one stays.
func LoadOrCreateMasterKey(path string) (*MasterKey, error) {
	key, err := LoadMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createMasterKey(path); err != nil {
		return nil, fmt.Errorf("create master key: %w", err)
	}
	return LoadMasterKey(path)
}

func createMasterKey(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".master-key-*") // O_EXCL, mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	secret := make([]byte, masterKeySize)
	rand.Read(secret)
	_, err = temp.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces the key of a process that came first.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDirectory(dir)
}

// syncDirectory makes a new name in dir survive a power cut.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
