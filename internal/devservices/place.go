package devservices

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// elsewhere holds the data of directories that the unprivileged user cannot reach.
const elsewhere = "/var/lib/agentidp-dev"

// account is the user that the servers run as; nil stands for the caller.
type account struct {
	uid, gid uint32
}

// unprivileged gives the user to become where the caller is root, else nil.
func unprivileged() (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &account{uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// place is the directory with the data of both servers, mode 0700, owned by the account they run as.
type place struct {
	dir     string
	account *account
}

// choosePlace takes `<dir>/data`, or where the account cannot get there a directory below elsewhere that belongs to dir
// alone. `<dir>/data-location` tells a person which.
func choosePlace(dir string, a *account) (place, error) {
	p := place{dir: filepath.Join(dir, "data"), account: a}
	if a != nil && !a.reaches(dir) {
		if err := errors.Join(os.MkdirAll(elsewhere, 0o711), os.Chmod(elsewhere, 0o711)); err != nil {
			return place{}, err
		}
		p.dir = filepath.Join(elsewhere, fmt.Sprintf("%x", sha256.Sum256([]byte(dir)))[:16])
	}
	if err := p.mkdir(p.dir); err != nil {
		return place{}, err
	}
	return p, writeFile(filepath.Join(dir, "data-location"), []byte(p.dir+"\n"))
}

// mkdir makes a directory for the account alone.
func (p place) mkdir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return p.account.own(path)
}

// reaches tells whether the account may pass through dir and all its parents.
func (a *account) reaches(dir string) bool {
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	for at := resolved; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil || !a.passes(info) {
			return false
		}
		if at == filepath.Dir(at) {
			return true
		}
	}
}

func (a *account) passes(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	switch mode := info.Mode().Perm(); {
	case stat.Uid == a.uid:
		return mode&0o100 != 0
	case stat.Gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// lastLines gives the end of a log for an error message.
func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
