package projections

import (
	"context"
	"errors"
	"fmt"
)

// renew rebuilds a read model that is of an older version. It does so without
// the lease: until the switch the runner of an older build may go on with the
// live tables.
func (w *worker) renew(ctx context.Context) error {
	if w.current {
		return nil
	}
	_, err := loadCheckpoint(ctx, w.runner.pool, w.projection)
	var version *versionError
	switch {
	case outdated(err):
		w.logger.Info("the stored read model is of an older version and is rebuilt", "version", w.projection.Version)
		rebuilder := NewRebuilder(w.runner.pool, w.runner.store, RebuildOptions{Logger: w.runner.options.Logger})
		if err := rebuilder.Rebuild(ctx, *w.projection)[0].Err; err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
	case err != nil && !errors.As(err, &version):
		return err
	}
	w.current = true
	return nil
}
