package devservices

import (
	"errors"
	"os"
	"path/filepath"
)

const tempPrefix = "agentidp-services-"

// TempDir makes a temporary directory for volatile services, which the caller removes after Stop. Before that it removes
// those that callers left behind because they were killed.
func TempDir() (string, error) {
	abandoned, err := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range abandoned {
		if err := removeUnused(dir); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp("", tempPrefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// removeUnused removes dir unless a process runs services in it, or has just made it and is about to.
func removeUnused(dir string) error {
	if _, err := os.Stat(statePath(dir)); err != nil {
		return nil
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil // in use, or another user's
	}
	defer lock.Close()
	found, err := leftoversIn([]string{filepath.Join(dir, "data", "postgres"), filepath.Join(dir, "data", "redis")})
	if err != nil || len(found) > 0 {
		return err // still shutting down: next time
	}
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, os.ErrPermission) {
		return err
	}
	return nil
}
