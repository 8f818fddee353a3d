package jobs

import (
	"context"
	"time"
)

// Verdict is what somebody found who looked at something for a job.
type Verdict struct {
	Count int64 // of what was looked at, where the job counts that
	Fault error // what is wrong; nil: nothing is
}

// Judge looks and gives a verdict. The error says that it could not look; then
// there is none.
type Judge func(context.Context) (Verdict, error)

// judging is a job that tells a verdict; fine is what it says where nothing is wrong.
func judging(name string, interval time.Duration, fine string, judge Judge) Job {
	return Job{Name: name, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		verdict, err := judge(ctx)
		if err != nil {
			return Result{}, err
		}
		if verdict.Fault != nil {
			return Result{Failed: true, Count: verdict.Count, Detail: verdict.Fault.Error()}, nil
		}
		return Result{Count: verdict.Count, Detail: fine}, nil
	}}
}
