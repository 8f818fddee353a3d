package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/internal/realstore"
)

// wireServer is the wire server in a process of its own, and the program that
// hurts its nodes: the same one.
type wireServer struct {
	url     string
	process *exec.Cmd
	folder  string
}

func startWireServer(ctx context.Context, stderr io.Writer) (s *wireServer, err error) {
	s = &wireServer{}
	if s.folder, err = os.MkdirTemp("", "wireserver"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	program := filepath.Join(s.folder, "wireserver")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./eventstore/esdb/wiretest/wireserver")
	build.Stderr = stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the wire server: %w", err)
	}
	for name, value := range map[string]string{"WIRESERVER": filepath.Join(s.folder, "socket"), realstore.FaultsSetting: program} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	s.process = exec.Command(program, "serve", "--nodes", "3")
	s.process.Stderr = stderr
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		s.process = nil
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start the wire server: %w", err)
	}
	s.url = strings.TrimSpace(line)
	return s, nil
}

func (s *wireServer) stop() {
	if s.process != nil {
		_ = s.process.Process.Signal(os.Interrupt)
		killing := time.AfterFunc(10*time.Second, func() { _ = s.process.Process.Kill() })
		defer killing.Stop()
		_ = s.process.Wait()
	}
	_ = os.RemoveAll(s.folder)
}
