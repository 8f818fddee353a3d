package devservices

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are chosen below those that systems give to outgoing connections (32768 and up on Linux): else, while a server
// is down for a restart, a client that tries to reach it could be given its port, and connect to itself.
const (
	firstPort = 15000
	lastPort  = 32767
)

// onFreePort calls start with *port free: the port it holds if that is free, else a random one. Between the choice and
// the start another process may take it, so errPortTaken is tried again on another.
func onFreePort(port *int, start func() error) error {
	const attempts = 5
	var err error
	for range attempts {
		if *port == 0 || !isFree(*port) {
			if *port, err = freePort(); err != nil {
				return err
			}
		}
		if err = start(); !errors.Is(err, errPortTaken) {
			return err
		}
		*port = 0
	}
	return err
}

func freePort() (int, error) {
	for range 100 {
		if port := firstPort + rand.IntN(lastPort-firstPort+1); isFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port on 127.0.0.1 from %d to %d", firstPort, lastPort)
}

func isFree(port int) bool {
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	return err == nil && listener.Close() == nil
}
