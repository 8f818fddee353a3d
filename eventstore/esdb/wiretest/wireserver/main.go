// Command wireserver runs the wire server as a process of its own, for what is
// tested against any EventStoreDB, and hurts its nodes: it is a STORE_FAULTS
// program (docs/guides/qualify-eventstoredb.md).
//
//	wireserver serve --nodes 3 --seed 1    prints the connection string, and runs until it is told to stop
//	wireserver nodes                       and freeze, wake, kill, start, resign: done to the one that WIRESERVER names
//
// WIRESERVER is the path of the socket that both meet at. Nothing is kept.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(arguments []string, stdout, stderr io.Writer) int {
	socket := os.Getenv("WIRESERVER")
	err := fmt.Errorf("usage: WIRESERVER=SOCKET wireserver serve [--nodes N] [--seed N] [--version V] | nodes | freeze N | wake N | kill N | start N | resign")
	if socket != "" && len(arguments) > 0 {
		if arguments[0] == "serve" {
			err = serve(socket, arguments[1:], stdout)
		} else {
			err = tell(socket, arguments, stdout)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "wireserver:", err)
		return 1
	}
	return 0
}

func serve(socket string, arguments []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	nodes, seed := flags.Int("nodes", 3, "how many nodes"), flags.Uint64("seed", 1, "what is left to chance follows from it")
	version := flags.String("version", "23.10", "which version of the server it is")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	cluster, err := wiretest.New(*nodes, wiretest.Elections(*seed), wiretest.Version(*version))
	if err != nil {
		return err
	}
	defer cluster.Close()
	control, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer control.Close()
	fmt.Fprintln(stdout, cluster.URL())
	go func() {
		for {
			asked, err := control.Accept()
			if err != nil {
				return
			}
			go obey(cluster, asked)
		}
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return nil
}

// tell has the server do one thing. Its answer is a line that begins with "ok",
// or says what is wrong, and then what is to be printed.
func tell(socket string, arguments []string, stdout io.Writer) error {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := fmt.Fprintln(connection, strings.Join(arguments, " ")); err != nil {
		return err
	}
	answer := bufio.NewReader(connection)
	verdict, err := answer.ReadString('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if verdict = strings.TrimSpace(verdict); verdict != "ok" {
		return fmt.Errorf("%s", verdict)
	}
	_, err = io.Copy(stdout, answer)
	return err
}
