package devservices

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read after done is closed
}

// startProcess starts cmd as the account, in a process group of its own so that a Ctrl-C at the terminal reaches only
// its parent, which then ends it in order. If this process dies, the server gets the signal orphaned (on Linux).
func startProcess(cmd *exec.Cmd, a *account, orphaned syscall.Signal) (*process, error) {
	cmd.SysProcAttr = dieWithParent(orphaned)
	cmd.SysProcAttr.Setpgid = true
	if a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux ties the parent's death to the thread that forked: keep this one until the server has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// patience is a signal and how long it is given to work.
type patience struct {
	signal syscall.Signal
	wait   time.Duration
}

// stop sends the signals one after another until the process has ended, and SIGKILL after the last or when ctx is done.
// A process that had to be killed is an error.
func (p *process) stop(ctx context.Context, steps ...patience) error {
	for _, step := range steps {
		if err := p.cmd.Process.Signal(step.signal); errors.Is(err, os.ErrProcessDone) {
			break
		}
		timer := time.NewTimer(step.wait)
		select {
		case <-p.done:
			timer.Stop()
			return nil
		case <-timer.C:
			continue
		case <-ctx.Done():
			timer.Stop()
		}
		break
	}
	if p.ended() {
		return nil
	}
	err := p.cmd.Process.Kill()
	<-p.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return errors.New(p.cmd.Path + " did not end by itself and was killed")
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// await asks until ready answers nil. It gives up when the process ends, on errHopeless, when the time is up or when ctx
// is done, with the last answer.
func (p *process) await(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil || errors.Is(err, errHopeless) {
			return err
		}
		select {
		case <-p.done:
			return errors.Join(errors.New("it ended at once"), p.err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}
