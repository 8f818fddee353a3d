package limits

import (
	"encoding/binary"
	"errors"
	"time"
)

// batch is demands that one run of take.lua decides on, in order: each as if
// it had come alone, all at the time of the latest. A key that several of them
// count under is read once and written once.
type batch struct {
	now      time.Time
	demands  []Demand
	windows  keyed[Window]
	counters keyed[Counter]
	terms    []int64 // of the demands, as take.lua reads them
}

// keyed are values of different keys, in the order in which they came.
type keyed[V any] struct {
	values []V
	keys   []string
	places map[string]int // from 1, as Lua counts
}

func (k *keyed[V]) get(key string) (value V, known bool) {
	place, known := k.places[key]
	if known {
		value = k.values[place-1]
	}
	return value, known
}

// place of a key, which is added with the value where it is new.
func (k *keyed[V]) place(key string, value V) int64 {
	place, known := k.places[key]
	if !known {
		k.values, k.keys = append(k.values, value), append(k.keys, key)
		place = len(k.values)
		k.places[key] = place
	}
	return int64(place)
}

func (k *keyed[V]) empty() {
	k.values, k.keys = k.values[:0], k.keys[:0]
	clear(k.places)
}

func newBatch() *batch {
	return &batch{windows: keyed[Window]{places: map[string]int{}}, counters: keyed[Counter]{places: map[string]int{}}}
}

// empty makes the batch fit to be filled again: its memory serves the next run.
func (b *batch) empty() {
	b.now, b.demands, b.terms = time.Time{}, b.demands[:0], b.terms[:0]
	b.windows.empty()
	b.counters.empty()
}

// add reports false when the demand has to wait for another batch.
func (b *batch) add(now time.Time, d Demand) bool {
	if len(b.demands) > 0 && !b.agrees(d) {
		return false
	}
	if now.After(b.now) {
		b.now = now
	}
	b.demands = append(b.demands, d)
	look := int64(0)
	if d.Look {
		look = 1
	}
	b.terms = append(b.terms, look, int64(len(d.Windows)), int64(len(d.Counters)))
	for _, w := range d.Windows {
		b.terms = append(b.terms, b.windows.place(w.Key, w), int64(w.Max))
	}
	for _, c := range d.Counters {
		backlog := c.backlog
		if c.OnRecord {
			backlog = 0 // it is in the Floor
		}
		b.terms = append(b.terms, b.counters.place(c.Key, c), int64(c.Max), int64(c.Floor), int64(backlog))
	}
	return true
}

// agrees: within a batch a key has one span or one period. At midnight there
// are demands of both days.
func (b *batch) agrees(d Demand) bool {
	for _, w := range d.Windows {
		if other, known := b.windows.get(w.Key); known && other.Span != w.Span {
			return false
		}
	}
	for _, c := range d.Counters {
		if other, known := b.counters.get(c.Key); known && other.Period != c.Period {
			return false
		}
	}
	return true
}

// keysAndArgs are those of take.lua.
func (b *batch) keysAndArgs() (keys []string, args []any) {
	const perWindow, perCounter = 2, 1
	head := make([]int64, 0, 2+perWindow*len(b.windows.values)+perCounter*len(b.counters.values))
	head = append(head, b.now.UnixMilli(), int64(len(b.windows.values)))
	for _, w := range b.windows.values {
		head = append(head, w.width(), w.reach())
	}
	args = make([]any, 1, 1+len(b.counters.values))
	for _, c := range b.counters.values {
		head = append(head, max(1, c.Ends.Sub(b.now).Milliseconds()))
		args = append(args, c.Period)
	}
	args[0] = packed(head, b.terms)
	keys = make([]string, 0, len(b.windows.keys)+len(b.counters.keys))
	return append(append(keys, b.windows.keys...), b.counters.keys...), args
}

// packed is an array of integers as MessagePack has it: Redis takes it apart
// at once, where it would have to parse arguments one by one.
func packed(parts ...[]int64) []byte {
	const array32, int64Type, intLength = 0xdd, 0xd3, 9
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	text := make([]byte, 0, 1+4+intLength*n)
	text = binary.BigEndian.AppendUint32(append(text, array32), uint32(n))
	for _, part := range parts {
		for _, number := range part {
			text = binary.BigEndian.AppendUint64(append(text, int64Type), uint64(number))
		}
	}
	return text
}

var errAnswer = errors.New("take.lua answered something else than the outcomes of the demands")

// read takes the script's answer apart.
func (b *batch) read(answer []int64) ([]result, error) {
	const uncounted = -2
	results := make([]result, len(b.demands))
	for i, d := range b.demands {
		if len(answer) > 0 && answer[0] == uncounted {
			results[i].err, answer = ErrUncounted, answer[1:]
			continue
		}
		length := 2 + 2*len(d.Windows) + len(d.Counters)
		if len(answer) < length {
			return nil, errAnswer
		}
		results[i].outcome = d.read(answer[:length])
		answer = answer[length:]
	}
	if len(answer) > 0 {
		return nil, errAnswer
	}
	return results, nil
}

func (d Demand) read(answer []int64) Outcome {
	outcome := Outcome{
		FullWindow: int(answer[0]), FullCounter: int(answer[1]),
		Windows: make([]State, len(d.Windows)), Counts: make([]int, len(d.Counters)),
	}
	answer = answer[2:]
	for i, w := range d.Windows {
		outcome.Windows[i] = State{Count: int(answer[2*i]), Frees: w.frees(answer[2*i+1])}
	}
	for i := range d.Counters {
		outcome.Counts[i] = int(answer[2*len(d.Windows)+i])
	}
	return outcome
}
