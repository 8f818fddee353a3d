package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gin-gonic/gin"
)

// serveConstant answers every request with what is in a file, by the same
// framework as the product, until its input ends. It prints where it listens.
func serveConstant(path string, stdin io.Reader, stdout io.Writer) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	answer := func(c *gin.Context) { c.Data(http.StatusOK, "application/json; charset=utf-8", body) }
	engine.GET("/api/v1/agents/:agentId", answer)
	engine.POST("/oauth2/introspect", answer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, listener.Addr())
	server := &http.Server{Handler: engine}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// besideConstant sends a load to a server that does nothing but answer, with
// as many bytes as the product does.
func (b *bench) besideConstant(ctx context.Context, l load, body []byte) (s sample, err error) {
	path := filepath.Join(b.dir, "constant.json")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		return s, err
	}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	child := exec.CommandContext(ctx, self, modeConstant, path)
	child.SysProcAttr = inOwnGroup()
	child.Stderr = b.progress
	stdin, inErr := child.StdinPipe()
	stdout, outErr := child.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return s, err
	}
	if err := child.Start(); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, stdin.Close(), child.Wait()) }()
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return s, err
	}
	l.address, l.contains = strings.TrimSpace(address), ""
	m, err := b.send(ctx, l, b.warmUp/2, b.duration/2)
	return summarize(m), err
}
