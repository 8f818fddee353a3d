package chaos

import "time"

// Line is all the ways there are from one node to a service: several, where the
// service is a cluster.
type Line []*Proxy

// Pass lets everything through, see [Proxy.Pass].
func (l Line) Pass() { l.each((*Proxy).Pass) }

// Drop holds everything back, see [Proxy.Drop].
func (l Line) Drop() { l.each((*Proxy).Drop) }

// Cut ends all connections, see [Proxy.Cut].
func (l Line) Cut() { l.each((*Proxy).Cut) }

// Delay slows everything down, see [Proxy.Delay].
func (l Line) Delay(by time.Duration) { l.each(func(p *Proxy) { p.Delay(by) }) }

// Addresses are those to connect to, in order.
func (l Line) Addresses() (addresses []string) {
	for _, p := range l {
		addresses = append(addresses, p.Address())
	}
	return addresses
}

func (l Line) each(do func(*Proxy)) {
	for _, p := range l {
		do(p)
	}
}
