package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/internal/wait"
)

// load is what many clients do at once, each on a connection of its own that
// it keeps: it sends its request again and again.
type load struct {
	address  string
	requests [][]byte // one for each client
	contains string   // that each client's first answer must contain
}

// sample is what a load met.
type sample struct {
	rate    float64 // answers a second
	latency latency
	client  float64 // share of all cores that the clients took
}

// meeting is one stretch of a load.
type meeting struct {
	took   []time.Duration // for each answer
	length time.Duration
	cpu    time.Duration // that the clients took
}

// summarize makes one sample of some stretches.
func summarize(meetings ...meeting) sample {
	var took []time.Duration
	var length, cpu time.Duration
	for _, m := range meetings {
		took = append(took, m.took...)
		length += m.length
		cpu += m.cpu
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		if len(took) == 0 {
			return 0
		}
		return milliseconds(took[int(share*float64(len(took)-1))])
	}
	return sample{
		rate:    float64(len(took)) / length.Seconds(),
		latency: latency{at(.5), at(.95), at(.99)},
		client:  cpu.Seconds() / length.Seconds() / float64(runtime.NumCPU()),
	}
}

// sendInTurns runs a load, and beside it something else that gives a rate. The
// two take turns, so that whatever else the machine does meets both.
func (b *bench) sendInTurns(ctx context.Context, l load, other func() (float64, error)) (s sample, beside float64, err error) {
	turns := 3
	if b.profile != "" {
		turns = 1 // a profile is of one stretch
	}
	var all []meeting
	for turn := range turns {
		warmUp := b.warmUp
		if turn > 0 {
			warmUp /= 4
		}
		m, err := b.send(ctx, l, warmUp, b.duration/time.Duration(turns))
		if err != nil {
			return s, 0, err
		}
		all = append(all, m)
		if other != nil {
			rate, err := other()
			if err != nil {
				return s, 0, err
			}
			beside += rate / float64(turns)
		}
	}
	return summarize(all...), beside, nil
}

// send runs a load. The clients share the machine with the server, so they do
// as little as can be done: requests are made before, and of an answer only the
// status and the length are looked at. An answer other than 200 ends the run.
func (b *bench) send(ctx context.Context, l load, warmUp, duration time.Duration) (meeting, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	begin := time.Now().Add(warmUp)
	end := begin.Add(duration)
	took, errs := make([][]time.Duration, len(l.requests)), make([]error, len(l.requests))
	var all sync.WaitGroup
	for i, request := range l.requests {
		all.Go(func() {
			took[i], errs[i] = keepAsking(ctx, l.address, request, l.contains, begin, end)
			if errs[i] != nil {
				stop()
			}
		})
	}
	cpu := make(chan time.Duration, 1)
	go func() {
		_ = wait.For(ctx, time.Until(begin))
		before := cpuTime()
		_ = wait.For(ctx, time.Until(end))
		cpu <- cpuTime() - before
	}()
	all.Wait()
	m := meeting{took: slices.Concat(took...), length: duration, cpu: <-cpu}
	return m, errors.Join(errs...)
}

// keepAsking notes how long each answer took that came between begin and end.
func keepAsking(ctx context.Context, address string, request []byte, contains string, begin, end time.Time) ([]time.Duration, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	const most = 30 * time.Second // for an answer to come, at the end of the run too
	if err := conn.SetDeadline(end.Add(most)); err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, 1<<14)
	const bufferSize = 8 << 10
	answers := bufio.NewReaderSize(conn, bufferSize)
	for ctx.Err() == nil {
		sent := time.Now()
		if sent.After(end) {
			return took, nil
		}
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		if err := readAnswer(answers, contains); err != nil {
			return nil, err
		}
		contains = ""
		if received := time.Now(); received.After(begin) && received.Before(end) {
			took = append(took, received.Sub(sent))
		}
	}
	return nil, ctx.Err()
}

var (
	statusOK      = []byte("HTTP/1.1 200 ")
	contentLength = []byte("Content-Length: ")
)

// readAnswer reads one answer of HTTP/1.1 (RFC 9112) as the server writes
// them: of a known length. It looks into the body where it has to contain
// something or says what is wrong.
func readAnswer(r *bufio.Reader, contains string) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	var status string
	if !bytes.HasPrefix(line, statusOK) {
		status = string(bytes.TrimSpace(line))
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) <= len("\r\n") {
			break
		}
		if bytes.HasPrefix(line, contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("an answer %s without Content-Length", status)
	}
	if status == "" && contains == "" {
		_, err = r.Discard(length)
		return err
	}
	body, err := r.Peek(length)
	if err != nil {
		return err
	}
	if status != "" || !bytes.Contains(body, []byte(contains)) {
		return fmt.Errorf("the server answered %s %s, want 200 with %q", status, body, contains)
	}
	_, err = r.Discard(length)
	return err
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
