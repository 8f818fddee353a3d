// Package ordered works on the items of a sequence on several goroutines at once
// and keeps their order.
package ordered

import (
	"context"
	"iter"
	"sync"
)

// Map does work on the items of a sequence, on several goroutines at once,
// and yields the results in the order of the items. newWork makes what each
// goroutine works with. At most three results for each worker exist at a time.
// The sequence ends with the first error; its goroutines have ended with it. It
// ends without one only when the items have: what the context cut off ends with
// the context's error.
func Map[T, R any](ctx context.Context, workers int, items iter.Seq2[T, error], newWork func() func(T) (R, error)) iter.Seq2[R, error] {
	type answer struct {
		result R
		err    error
	}
	type job struct {
		item T
		done chan answer
	}
	return func(yield func(R, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		jobs := make(chan job)
		queue := make(chan chan answer, 2*workers)
		var all sync.WaitGroup
		defer all.Wait()
		defer stop()
		var cut error // why there may be more items than were queued; read after queue is closed
		all.Go(func() {
			defer close(queue)
			defer close(jobs)
			for item, err := range items {
				done := make(chan answer, 1)
				select {
				case queue <- done:
				case <-ctx.Done():
					cut = ctx.Err()
					return
				}
				if err != nil {
					done <- answer{err: err}
					return
				}
				select {
				case jobs <- job{item, done}:
				case <-ctx.Done():
					done <- answer{err: ctx.Err()}
					return
				}
			}
		})
		for range workers {
			all.Go(func() {
				work := newWork()
				for j := range jobs {
					result, err := work(j.item)
					j.done <- answer{result, err}
				}
			})
		}
		for done := range queue {
			var a answer
			select {
			case a = <-done:
			case <-ctx.Done():
				a.err = ctx.Err()
			}
			if !yield(a.result, a.err) || a.err != nil {
				return
			}
		}
		if cut != nil {
			var none R
			yield(none, cut)
		}
	}
}

// Pages gathers the items of a sequence into pages. What came before an error
// comes before it.
func Pages[T any](items iter.Seq2[T, error], size int) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		page := make([]T, 0, size)
		for item, err := range items {
			if err != nil {
				if len(page) == 0 || yield(page, nil) {
					yield(nil, err)
				}
				return
			}
			if page = append(page, item); len(page) == size {
				if !yield(page, nil) {
					return
				}
				page = make([]T, 0, size)
			}
		}
		if len(page) > 0 {
			yield(page, nil)
		}
	}
}
