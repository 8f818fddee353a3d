package chaos_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/test/chaos"
)

const patience = 20 * time.Second

// echo is a service that says what it hears.
func echo(tb testing.TB) (address string) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(tb testing.TB, p *chaos.Proxy) net.Conn {
	tb.Helper()
	conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", p.Address())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// hears says something and tells whether the answer comes in time.
func hears(conn net.Conn, limit time.Duration) error {
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	return awaits(conn, limit)
}

func awaits(conn net.Conn, limit time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

func TestAProxyHoldsBackAndCutsOff(t *testing.T) {
	t.Parallel()
	p, err := chaos.NewProxy(t.Context(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	conn := dial(t, p)
	if err := hears(conn, patience); err != nil {
		t.Fatalf("nothing comes through a proxy that passes: %v", err)
	}
	p.Drop()
	if err := hears(conn, 50*time.Millisecond); err == nil {
		t.Error("something comes through a proxy that holds back")
	}
	p.Pass()
	if err := awaits(conn, patience); err != nil {
		t.Errorf("what was held back does not come: %v", err)
	}
	p.Delay(time.Millisecond)
	if err := hears(conn, patience); err != nil {
		t.Errorf("nothing comes through a slow proxy: %v", err)
	}
	p.Cut()
	if err := hears(conn, patience); err == nil {
		t.Error("a connection outlives the cut")
	}
	if err := hears(dial(t, p), patience); err == nil {
		t.Error("a connection is made while there is nobody")
	}
	p.Pass()
	if err := hears(dial(t, p), patience); err != nil {
		t.Errorf("no connection can be made after the cut: %v", err)
	}
}
