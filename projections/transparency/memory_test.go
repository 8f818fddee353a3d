package transparency

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
)

// A signer that is frozen in its turn, in this process or another, keeps its
// turn. Nobody signs a second tree meanwhile, and nobody waits for ever: who
// asks is told that it is unavailable.
func TestNobodyWaitsForEverForASignerThatKeepsItsTurn(t *testing.T) {
	w := newWorld(t)
	w.grow(t, 3)
	frozen := newMemory(t)
	entered, wakeUp, awake := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		awake <- frozen.change(context.Background(), func(map[string]Remembered) error {
			close(entered)
			<-wakeUp
			return nil
		})
	}()
	<-entered

	memory := OpenMemory(frozen.Path())
	memory.patience = 20 * time.Millisecond
	signer := newSigner(t, w, memory)
	if signed, err := signer.Sign(t.Context(), Whole); !errors.Is(err, eventstore.ErrUnavailable) || len(signed) > 0 {
		t.Errorf("signed %d checkpoints in another signer's turn: %v, want ErrUnavailable", len(signed), err)
	}
	if signed, err := signer.SignAll(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) || len(signed) > 0 {
		t.Errorf("signed all %d in another signer's turn: %v, want ErrUnavailable", len(signed), err)
	}
	memory.patience = time.Hour
	impatient, leave := context.WithCancel(t.Context())
	leave()
	if _, err := signer.Sign(impatient, Whole); !errors.Is(err, context.Canceled) {
		t.Errorf("who leaves is told %v, want that it has left", err)
	}
	if known, err := memory.Load(); err != nil || len(known) != 0 {
		t.Errorf("%d checkpoints are remembered that nobody signed, %v", len(known), err)
	}

	close(wakeUp)
	if err := <-awake; err != nil {
		t.Error(err)
	}
	if signed, err := signer.Sign(t.Context(), Whole); err != nil || len(signed) != 1 || signed[0].Size != 3 {
		t.Errorf("afterwards: %v, %v, want the tree of 3 signed", signed, err)
	}
}
