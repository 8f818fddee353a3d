package server

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run serves until ctx ends, then lets requests in flight finish, writes down
// what is only in memory, and closes everything.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()
	group, working := errgroup.WithContext(working)
	for _, work := range s.work {
		group.Go(func() error {
			work(working)
			return nil
		})
	}
	s.catchUp(ctx)
	group.Go(func() error { return s.watch.run(working) })
	group.Go(func() error { return serve(s.http.server, s.http.listener) })
	group.Go(func() error { return serve(s.http.metrics, s.http.gauges) })
	s.logger.Info("serving", "address", s.Address(), "url", s.config.PublicURL, "metrics", "http://"+s.MetricsAddress()+"/metrics")
	select {
	case <-ctx.Done():
		s.drain(working)
	case <-working.Done(): // some of it failed
	}
	s.logger.Info("stopping")
	err := s.stop()
	stopWorking()
	if failed := group.Wait(); failed != nil && !errors.Is(failed, context.Canceled) {
		err = errors.Join(failed, err)
	}
	return err
}

// catchUp waits, within bounds, until the read models have what was written
// before this server was there, by bootstrap for one. A client that connects
// meanwhile waits to be accepted.
func (s *Server) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.config.ReadWaitTimeout)
	defer cancel()
	head, err := s.storage.store.Head(ctx)
	if err == nil && len(s.read.progress.Outdated()) == 0 {
		err = errors.Join(s.read.progress.Wait(ctx, head), s.watch.anchor.Move(ctx))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		s.logger.WarnContext(ctx, "serving before the read models have caught up", "error", err)
	}
}

// drain goes on serving for a while, and says that it is about to stop.
func (s *Server) drain(working context.Context) {
	s.http.api.Drain()
	if s.config.DrainTime == 0 {
		return
	}
	s.logger.Info("draining", "seconds", s.config.DrainTime.Seconds())
	over := time.NewTimer(s.config.DrainTime)
	defer over.Stop()
	select {
	case <-over.C:
	case <-working.Done():
	}
}

func (s *Server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.ShutdownTimeout)
	defer cancel()
	err := s.http.stop(ctx, s.config)
	if flushErr := s.write.ledger.FlushAuthFailures(ctx, true); flushErr != nil {
		s.logger.Warn("counts of failed authentications were lost", "error", flushErr)
	}
	return err
}
