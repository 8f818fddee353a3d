// Command write brings docs/configuration.md and .env.example to what the settings say.
package main

import (
	"log"
	"os"

	"github.com/sentryagent/agentidp/internal/config"
)

func main() {
	const docs, example = "../../docs/configuration.md", "../../.env.example" // as go generate runs it
	text, err := os.ReadFile(docs)
	if err != nil {
		log.Fatal(err)
	}
	for path, content := range map[string]string{docs: config.Documented(string(text)), example: config.Example()} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
