// SPDX-License-Identifier: Apache-2.0
//
// The official Go client against our daemon, whose port is in API_PORT: create, toggle, every toxic, update, populate,
// reset, errors; with bytes through the proxy.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

var toxics = map[string]toxiproxy.Attributes{
	"latency":    {"latency": 100.0, "jitter": 0.0},
	"bandwidth":  {"rate": 1000.0},
	"slow_close": {"delay": 10.0},
	"timeout":    {"timeout": 5000.0},
	"reset_peer": {"timeout": 5000.0},
	"slicer":     {"average_size": 64.0, "size_variation": 32.0, "delay": 10.0},
	"limit_data": {"bytes": 1000.0},
	"noop":       {},
}

func check(what string, good bool, got ...any) {
	if !good {
		fmt.Println(append([]any{"failed:", what}, got...)...)
		os.Exit(1)
	}
}

func fine(what string, err error) { check(what, err == nil, err) }

func refused(what string, err error, text string) {
	check(what, err != nil && strings.Contains(err.Error(), text), err)
}

func echoServer() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fine("listen", err)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(connection, connection)
				_ = connection.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

func connect(proxy *toxiproxy.Proxy) net.Conn {
	connection, err := net.Dial("tcp", proxy.Listen)
	fine("connect", err)
	_ = connection.SetDeadline(time.Now().Add(20 * time.Second))
	return connection
}

func roundTrip(connection net.Conn, text string) time.Duration {
	begun := time.Now()
	_, err := connection.Write([]byte(text))
	fine("write", err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(connection, got)
	fine("read", err)
	check("echo", string(got) == text, string(got))
	return time.Since(begun)
}

func checkToggle(proxy *toxiproxy.Proxy) {
	connection := connect(proxy)
	roundTrip(connection, "up")
	fine("disable", proxy.Disable())
	_, err := connection.Read(make([]byte, 1))
	check("the connection ends", err == io.EOF, err)
	_, err = net.Dial("tcp", proxy.Listen)
	refused("connects are refused", err, "connection refused")
	fine("enable", proxy.Enable())
	again := connect(proxy)
	roundTrip(again, "up again")
	_ = again.Close()
}

func checkToxics(proxy *toxiproxy.Proxy) {
	for kind, attributes := range toxics {
		for _, stream := range []string{"upstream", "downstream"} {
			made, err := proxy.AddToxic("", kind, stream, 0.5, attributes)
			fine("add "+kind, err)
			check("its name", made.Name == kind+"_"+stream && made.Stream == stream && made.Type == kind, made)
			check("its figures", made.Toxicity == 0.5 && reflect.DeepEqual(made.Attributes, attributes), made)
		}
	}
	all, err := proxy.Toxics()
	fine("list", err)
	check("all are listed", len(all) == 2*len(toxics), len(all))
	for _, toxic := range all {
		fine("remove", proxy.RemoveToxic(toxic.Name))
	}
}

func checkEffects(proxy *toxiproxy.Proxy) {
	connection := connect(proxy)
	_, err := proxy.AddToxic("slow", "latency", "downstream", 1, toxiproxy.Attributes{"latency": 150})
	fine("add", err)
	check("latency", roundTrip(connection, "slow") >= 150*time.Millisecond)
	updated, err := proxy.UpdateToxic("slow", -1, toxiproxy.Attributes{"latency": 300})
	fine("update", err)
	check("updated", updated.Attributes["latency"] == 300.0, updated)
	_, err = proxy.UpdateToxic("slow", 1, toxiproxy.Attributes{})
	fine("update the toxicity alone", err)
	check("more latency", roundTrip(connection, "slower") >= 300*time.Millisecond)
	fine("remove", proxy.RemoveToxic("slow"))
	check("none", roundTrip(connection, "fast") < 300*time.Millisecond)
	_ = connection.Close()
}

func main() {
	client := toxiproxy.NewClient("127.0.0.1:" + os.Getenv("API_PORT"))
	upstream := echoServer()
	version, err := client.Version()
	check("version", err == nil && strings.Contains(string(version), "2.12.0"), string(version), err)

	proxy, err := client.CreateProxy("web", "localhost:0", upstream)
	fine("create", err)
	check("its address", strings.HasPrefix(proxy.Listen, "127.0.0.1:") && proxy.Enabled, proxy)
	_, err = client.CreateProxy("web", "localhost:0", upstream)
	refused("twice", err, "HTTP 409: proxy already exists")
	_, err = client.Proxy("nobody")
	refused("nobody", err, "HTTP 404: proxy not found")
	_, err = proxy.AddToxic("", "nonsense", "downstream", 1, nil)
	refused("nonsense", err, "HTTP 400: invalid toxic type")
	_, err = proxy.AddToxic("", "noop", "sideways", 1, nil)
	refused("sideways", err, "HTTP 400: stream was invalid, can be either upstream or downstream")
	refused("no toxic", proxy.RemoveToxic("nothing"), "HTTP 404: toxic not found")
	checkToggle(proxy)
	checkToxics(proxy)
	checkEffects(proxy)

	proxy.Upstream = "127.0.0.1:1"
	fine("save", proxy.Save())
	saved, err := client.Proxy("web")
	check("saved", err == nil && saved.Upstream == "127.0.0.1:1" && saved.Listen == proxy.Listen, saved, err)
	options := &toxiproxy.ToxicOptions{
		ProxyName: "web", ToxicName: "t", ToxicType: "timeout", Stream: "upstream", Toxicity: 1,
		Attributes: toxiproxy.Attributes{"timeout": 1},
	}
	_, err = client.AddToxic(options)
	fine("add by options", err)
	_, err = client.UpdateToxic(options)
	fine("update by options", err)
	fine("remove by options", client.RemoveToxic(options))

	_, err = proxy.AddToxic("", "noop", "", 1, nil)
	fine("noop", err)
	fine("disable", proxy.Disable())
	fine("reset", client.ResetState())
	reset, err := client.Proxy("web")
	check("reset", err == nil && reset.Enabled && len(reset.ActiveToxics) == 0, reset, err)

	made, err := client.Populate([]toxiproxy.Proxy{
		{Name: "web", Listen: reset.Listen, Upstream: "127.0.0.1:1", Enabled: true},
		{Name: "more", Listen: "localhost:0", Upstream: upstream, Enabled: true},
	})
	check("populate", err == nil && len(made) == 2 && made[1].Name == "more", made, err)
	_, err = client.Populate([]toxiproxy.Proxy{{Name: "half"}})
	refused("populate half", err, "missing required field: upstream at proxy 1")
	all, err := client.Proxies()
	check("proxies", err == nil && len(all) == 2, all, err)
	for _, one := range all {
		fine("delete", one.Delete())
	}
	refused("gone", proxy.Delete(), "HTTP 404: proxy not found")
	fmt.Println("the official Go client: passed")
}
