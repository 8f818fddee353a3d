package main

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
)

// obey does what one connection asks for.
func obey(cluster *wiretest.Cluster, connection net.Conn) {
	defer connection.Close()
	asked, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return
	}
	told, err := do(cluster, strings.Fields(asked))
	verdict := "ok"
	if err != nil {
		verdict = err.Error()
	}
	fmt.Fprintf(connection, "%s\n%s", verdict, told) // who asked may be gone
}

func do(cluster *wiretest.Cluster, words []string) (told string, err error) {
	switch {
	case len(words) == 1 && words[0] == "nodes":
		for n, address := range cluster.Addresses() {
			told += fmt.Sprintf("%d %s\n", n, address)
		}
		return told, nil
	case len(words) == 1 && words[0] == "resign":
		cluster.Model().Resign()
		return "", nil
	case len(words) != 2:
		return "", fmt.Errorf("%q is none of nodes, freeze N, wake N, kill N, start N, resign", strings.Join(words, " "))
	}
	number, err := strconv.Atoi(words[1])
	if err != nil || number < 0 || number >= cluster.Nodes() {
		return "", fmt.Errorf("there is no node %s", words[1])
	}
	node := cluster.Node(number)
	switch words[0] {
	case "freeze":
		node.Freeze()
	case "wake":
		node.Wake()
	case "kill":
		node.Stop()
	case "start":
		err = node.Start()
	default:
		err = fmt.Errorf("%s is none of freeze, wake, kill, start", words[0])
	}
	return "", err
}
