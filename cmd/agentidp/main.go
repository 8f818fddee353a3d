// Command agentidp is the AgentIdP server and its operator's commands.
package main

import (
	"os"

	"github.com/sentryagent/agentidp/internal/command"
)

func main() { os.Exit(command.Main(newRootCommand)) }
