// SPDX-License-Identifier: Apache-2.0

// peer serve SOCKET: an echo behind agenkit's servers; prints where they listen, and ends after two minutes.
// peer ask URL: agenkit's client against our server, which is interop_peer serve. Status 1 where anything is amiss.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	transport "github.com/scttfrdmn/agenkit-go/adapter/errors"
	"github.com/scttfrdmn/agenkit-go/adapter/http"
	"github.com/scttfrdmn/agenkit-go/adapter/local"
	"github.com/scttfrdmn/agenkit-go/adapter/remote"
	"github.com/scttfrdmn/agenkit-go/agenkit"
)

const (
	servedTime = 2 * time.Minute
	callTime   = 20 * time.Second
	calls      = 64
)

// --- serve ---

type echo struct{}

func (echo) Name() string           { return "echo" }
func (echo) Capabilities() []string { return nil }

func (e echo) Introspect() *agenkit.IntrospectionResult {
	return agenkit.DefaultIntrospectionResult(e)
}

func (echo) Process(_ context.Context, message *agenkit.Message) (*agenkit.Message, error) {
	if message.ContentString() == "fail" {
		return nil, errors.New("asked to fail")
	}
	reply := agenkit.NewMessage("agent", message.ContentString())
	reply.Metadata = message.Metadata
	return reply, nil
}

func (echo) Stream(ctx context.Context, message *agenkit.Message) (<-chan *agenkit.Message, <-chan error) {
	chunks := make(chan *agenkit.Message)
	failures := make(chan error, 1)
	go func() {
		defer close(failures)
		defer close(chunks)
		for _, word := range strings.Split(message.ContentString(), " ") {
			if word == "fail" {
				failures <- errors.New("asked to fail")
				return
			}
			select {
			case chunks <- agenkit.NewMessage("agent", word):
			case <-ctx.Done():
				return
			}
		}
	}()
	return chunks, failures
}

// freeAddress is one that nobody listened at a moment ago.
func freeAddress() string {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer probe.Close()
	return probe.Addr().String()
}

// awaitListener returns when somebody accepts there: its HTTP server does not say when it is ready.
func awaitListener(address string) error {
	for end := time.Now().Add(callTime); ; {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

func serve(socket string) error {
	ctx, cancel := context.WithTimeout(context.Background(), servedTime)
	defer cancel()
	urls := []string{"unix://" + socket, "tcp://" + freeAddress()}
	for _, url := range urls {
		server, err := local.NewLocalAgent(echo{}, url)
		if err != nil {
			return err
		}
		if err := server.Start(ctx); err != nil {
			return err
		}
	}
	address := freeAddress()
	// Without the rate limit that it has by default: the calls here come at once.
	if err := http.NewHTTPAgentWithOptions(echo{}, address, http.ServerOptions{}).Start(ctx); err != nil {
		return err
	}
	if err := awaitListener(address); err != nil {
		return err
	}
	fmt.Println(urls[0], urls[1], "http://"+address)
	<-ctx.Done()
	return nil
}

// --- ask ---

type asker struct {
	url      string
	mutex    sync.Mutex
	failures int
}

func (a *asker) expect(holds bool, format string, arguments ...any) {
	if holds {
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.failures++
	fmt.Printf("failed: "+format+"\n", arguments...)
}

// agent makes a client of its own: over HTTP, one that had a stream cannot be used again.
func (a *asker) agent() *remote.RemoteAgent {
	agent, err := remote.NewRemoteAgent("echo", a.url, callTime)
	if err != nil {
		panic(err)
	}
	return agent
}

func (a *asker) replies(ctx context.Context) {
	agent := a.agent()
	defer agent.Close()
	// Its numbers are floating point: an integer above 2^53 would not come back the same.
	metadata := map[string]any{
		"list": []any{1.0, "ü"}, "large": 9007199254740991.0, "none": nil, "deep": map[string]any{"a": map[string]any{}}}
	contents := map[string]string{
		"plain": "hello", "unicode": " grüße 🌍 \"\\ \n\t\u0001 <&>\u2028 \n", "empty": "", "1 MiB": strings.Repeat("ü", 1<<19)}
	for name, content := range contents {
		request := agenkit.NewMessage("user", content)
		request.Metadata = metadata
		reply, err := agent.Process(ctx, request)
		a.expect(err == nil, "%s: %v", name, err)
		if err != nil {
			continue
		}
		a.expect(reply.ContentString() == content, "%s: another content", name)
		a.expect(reply.Role == "agent", "%s: role %s", name, reply.Role)
		a.expect(reflect.DeepEqual(reply.Metadata, metadata), "%s: metadata %v", name, reply.Metadata)
	}
}

func (a *asker) errors(ctx context.Context) {
	agent := a.agent()
	defer agent.Close()
	_, err := agent.Process(ctx, agenkit.NewMessage("user", "fail"))
	a.expect(err != nil && strings.Contains(err.Error(), "asked to fail"), "the error's text: %v", err)
	// Over HTTP its client takes every status but 200 for a failure of the transport; the text tells what it was.
	var remoteError *transport.RemoteExecutionError
	isHTTP := strings.HasPrefix(a.url, "http")
	a.expect(errors.As(err, &remoteError) == !isHTTP, "the kind of the error: %T", err)
	reply, err := agent.Process(ctx, agenkit.NewMessage("user", "after"))
	a.expect(err == nil && reply.ContentString() == "after", "the connection after an error: %v", err)
}

func (a *asker) stream(ctx context.Context, content string) ([]string, error) {
	agent := a.agent()
	defer agent.Close()
	chunks, failures := agent.Stream(ctx, agenkit.NewMessage("user", content))
	var heard []string
	for chunk := range chunks {
		heard = append(heard, chunk.ContentString())
	}
	return heard, <-failures
}

func (a *asker) streams(ctx context.Context) {
	heard, err := a.stream(ctx, "a bö c")
	a.expect(err == nil && reflect.DeepEqual(heard, []string{"a", "bö", "c"}), "chunks: %v %v", heard, err)
	heard, err = a.stream(ctx, "a fail c")
	a.expect(err != nil && strings.Contains(err.Error(), "asked to fail"), "the error's text in a stream: %v", err)
	a.expect(reflect.DeepEqual(heard, []string{"a"}), "chunks before the error: %v", heard)
}

func (a *asker) atOnce(ctx context.Context) {
	var all sync.WaitGroup
	for i := range calls {
		all.Add(1)
		go func() {
			defer all.Done()
			agent := a.agent()
			defer agent.Close()
			content := fmt.Sprintf("call %d", i)
			reply, err := agent.Process(ctx, agenkit.NewMessage("user", content))
			a.expect(err == nil && reply.ContentString() == content, "%s of %d: %v", content, calls, err)
		}()
	}
	all.Wait()
}

func ask(url string) error {
	a := &asker{url: url}
	for _, check := range []func(context.Context){a.replies, a.errors, a.streams, a.atOnce} {
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		check(ctx)
		cancel()
	}
	if a.failures > 0 {
		return fmt.Errorf("%d failures", a.failures)
	}
	return nil
}

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "ask":
		err = ask(os.Args[2])
	default:
		err = errors.New("usage: peer serve SOCKET | ask URL")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
