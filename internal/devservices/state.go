package devservices

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// state is what must be known again at the next start; file state.json, mode 0600.
type state struct {
	SuperuserPassword string `json:"superuserPassword"`
	OwnerPassword     string `json:"ownerPassword"`
	ServerPassword    string `json:"serverPassword"`
	RedisPassword     string `json:"redisPassword"`
	PostgresPort      int    `json:"postgresPort"`
	RedisPort         int    `json:"redisPort"`
}

// loadState reads the state of dir, or makes and saves a new one.
func loadState(dir string) (*state, error) {
	text, err := os.ReadFile(statePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		fresh := &state{
			SuperuserPassword: randomPassword(),
			OwnerPassword:     randomPassword(),
			ServerPassword:    randomPassword(),
			RedisPassword:     randomPassword(),
		}
		return fresh, fresh.save(dir)
	}
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s is not what was written there; remove %s to begin anew: %w", statePath(dir), dir, err)
	}
	return &s, nil
}

func (s *state) save(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(statePath(dir), append(text, '\n'))
}

func statePath(dir string) string { return filepath.Join(dir, "state.json") }

func randomPassword() string {
	secret := make([]byte, 24)
	rand.Read(secret)
	return hex.EncodeToString(secret)
}

// writeFile replaces path by a file of mode 0600, whole or not at all.
func writeFile(path string, text []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// lockDirectory holds dir for this process until the file is closed, at the latest by the process's end.
func lockDirectory(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return lock, nil
}
