package devservices

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"
)

// leftover is a process of a server that outlived its parent.
type leftover struct {
	pid, parent int
}

// clearLeftovers ends servers that still run in one of dirs because their parent was killed, and waits for those that are
// ending by themselves. A server's working directory is its data directory: that tells it apart from whoever else may
// have got its process id since.
func clearLeftovers(ctx context.Context, dirs ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for asked := false; ; asked = true {
		found, err := leftoversIn(dirs)
		if err != nil || len(found) == 0 {
			return err
		}
		if !asked {
			for _, l := range found {
				// PostgreSQL's postmaster alone knows in which order its children end.
				isChild := slices.ContainsFunc(found, func(other leftover) bool { return other.pid == l.parent })
				if !isChild {
					_ = syscall.Kill(l.pid, syscall.SIGINT) // fast shutdown; it may have ended meanwhile
				}
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("servers of an earlier run do not end; end them by hand and start again")
		case <-tick.C:
		}
	}
}
