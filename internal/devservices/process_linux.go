package devservices

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func dieWithParent(signal syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: signal}
}

// leftoversIn lists the servers' processes whose working directory is one of dirs.
func leftoversIn(dirs []string) ([]leftover, error) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []leftover
	for _, process := range processes {
		cwd, err := os.Readlink(filepath.Join(process, "cwd"))
		if err != nil || !slices.Contains(dirs, cwd) {
			continue // ended meanwhile, of another user, or none of ours
		}
		stat, err := os.ReadFile(filepath.Join(process, "stat"))
		if err != nil {
			continue
		}
		l, program, err := parseStat(string(stat))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", process, err)
		}
		if program == "postgres" || program == "redis-server" {
			found = append(found, l)
		}
	}
	return found, nil
}

// parseStat reads /proc/<pid>/stat, see proc_pid_stat(5): "pid (program) state parent …", where the program's name may
// hold parentheses and spaces.
func parseStat(stat string) (l leftover, program string, err error) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return l, "", fmt.Errorf("unknown form of stat: %q", stat)
	}
	var state string
	if _, err = fmt.Sscan(stat[:open], &l.pid); err == nil {
		_, err = fmt.Sscan(stat[end+1:], &state, &l.parent)
	}
	return l, stat[open+1 : end], err
}
