package devservices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// installer installs Debian packages without letting them run anything on the machine.
type installer struct {
	root string // "/"
	run  func(ctx context.Context, name string, args ...string) error
}

// install installs packages. While it does, policy-rc.d forbids starting services and postgresql-common is told not to
// make its main cluster; both files are put back as they were, and the packages' services are not enabled for the next boot.
func (i installer) install(ctx context.Context, packages []string) (err error) {
	for _, file := range []struct {
		path, text string
		mode       os.FileMode
	}{
		{"usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755},
		{"etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n", 0o644},
	} {
		restore, replaceErr := replaceFile(filepath.Join(i.root, file.path), file.text, file.mode)
		if replaceErr != nil {
			return replaceErr
		}
		defer func() { err = errors.Join(err, restore()) }()
	}
	if err := i.run(ctx, "apt-get", "update"); err != nil {
		return err
	}
	if err := i.run(ctx, "apt-get", append([]string{"install", "-y", "--no-install-recommends"}, packages...)...); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(i.root, "run/systemd/system")); err != nil {
		return nil
	}
	return i.run(ctx, "systemctl", append([]string{"disable"}, packages...)...)
}

// replaceFile writes text to path and gives what puts the former state back.
func replaceFile(path, text string, mode os.FileMode) (restore func() error, err error) {
	const saved = ".saved-by-agentidp"
	err = os.Rename(path, path+saved)
	switch {
	case err == nil:
		restore = func() error { return os.Rename(path+saved, path) }
	case errors.Is(err, fs.ErrNotExist):
		restore = func() error { return os.Remove(path) }
	default:
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	err = os.WriteFile(path, []byte(text), mode)
	if err = errors.Join(err, os.Chmod(path, mode)); err != nil {
		return nil, errors.Join(err, restore())
	}
	return restore, nil
}

func runCommand(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	output, err := cmd.CombinedOutput()
	if err != nil {
		const most = 2000
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, output[max(0, len(output)-most):])
	}
	return nil
}
