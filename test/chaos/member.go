package chaos

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Node is a server that can be hurt. Each method returns when that is done.
type Node interface {
	Kill()    // at once, as a power cut would
	Restart() // after Kill; the node may take a while to serve
	Freeze()
	Thaw()
}

// Member is a node and its ways to what it needs. It is a [Victim].
type Member struct {
	Node
	Database, Redis Line
	// EventStore is nil where the ledger is in the database.
	EventStore Line
	// Beyond is how long it is frozen to outlast its leases.
	Beyond time.Duration
}

const second = time.Second

// Faults implements [Victim].
func (m Member) Faults(rng *rand.Rand) []Fault {
	slow := func(l Line) func() {
		return func() { l.Delay(time.Duration(1+rng.IntN(40)) * time.Millisecond) }
	}
	faults := []Fault{
		{"killed", 3, second / 10, second, m.Kill, m.Restart},
		{"frozen", 2, second / 5, 4 * second, m.Freeze, m.Thaw},
		{"frozen beyond its leases", 1, m.Beyond, m.Beyond + 2*second, m.Freeze, m.Thaw},
		{"database silent", 2, second / 2, 7 * second, m.Database.Drop, m.Database.Pass},
		{"database cut off", 1, second / 10, 3 * second, m.Database.Cut, m.Database.Pass},
		{"database slow", 1, second, 4 * second, slow(m.Database), m.Database.Pass},
		{"redis silent", 1, second, 4 * second, m.Redis.Drop, m.Redis.Pass},
		{"redis cut off", 1, second, 4 * second, m.Redis.Cut, m.Redis.Pass},
	}
	if m.EventStore == nil {
		return faults
	}
	both := slices.Concat(m.EventStore, m.Database)
	var one *Proxy
	return append(faults,
		Fault{"one node of the event store silent", 1, second, 7 * second,
			func() { one = m.EventStore[rng.IntN(len(m.EventStore))]; one.Drop() }, func() { one.Pass() }},
		Fault{"event store silent", 2, second / 2, 7 * second, m.EventStore.Drop, m.EventStore.Pass},
		Fault{"event store cut off", 1, second / 10, 3 * second, m.EventStore.Cut, m.EventStore.Pass},
		Fault{"event store slow", 1, second, 4 * second, slow(m.EventStore), m.EventStore.Pass},
		Fault{"event store and database silent", 2, second / 2, 7 * second, both.Drop, both.Pass},
		Fault{"event store and database cut off", 1, second / 10, 3 * second, both.Cut, both.Pass},
	)
}
