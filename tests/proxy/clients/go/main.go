// Drives a server through Toxiproxy's own Go client, and says "ok" at the end.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func want(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "not so:", what)
		os.Exit(1)
	}
}

func roundTrip(address string) time.Duration {
	conn, err := net.Dial("tcp", address)
	must(err)
	defer conn.Close()
	began := time.Now()
	_, err = conn.Write([]byte("hello"))
	must(err)
	got := make([]byte, 5)
	_, err = io.ReadFull(conn, got)
	must(err)
	want(string(got) == "hello", "the echo is what was sent")
	return time.Since(began)
}

func main() {
	client := toxiproxy.NewClient(os.Args[1])
	upstream := os.Args[2]
	must(client.ResetState())

	proxy, err := client.CreateProxy("go", "127.0.0.1:0", upstream)
	must(err)
	want(proxy.Enabled && proxy.Listen != "127.0.0.1:0", "a new proxy is up and says where")
	roundTrip(proxy.Listen)

	_, err = client.CreateProxy("go", "127.0.0.1:0", upstream)
	want(err != nil && strings.Contains(err.Error(), "proxy already exists"), "the same name twice is a conflict")

	toxic, err := proxy.AddToxic("", "latency", "", 1, toxiproxy.Attributes{"latency": 100, "jitter": 0})
	must(err)
	want(toxic.Name == "latency_downstream", "a toxic is named after its type and stream")
	want(roundTrip(proxy.Listen) >= 100*time.Millisecond, "latency is added")
	toxic, err = proxy.UpdateToxic("latency_downstream", 1, toxiproxy.Attributes{"latency": 0})
	must(err)
	want(toxic.Attributes["latency"] == float64(0), "an attribute is changed")
	toxics, err := proxy.Toxics()
	must(err)
	want(len(toxics) == 1, "one toxic is listed")
	must(proxy.RemoveToxic("latency_downstream"))

	must(proxy.Disable())
	_, err = net.Dial("tcp", proxy.Listen)
	want(err != nil, "a proxy that is down refuses")
	must(proxy.Enable())
	roundTrip(proxy.Listen)

	_, err = client.AddToxic(&toxiproxy.ToxicOptions{
		ProxyName: "go", ToxicName: "cut", ToxicType: "limit_data", Stream: "upstream", Toxicity: 1,
		Attributes: toxiproxy.Attributes{"bytes": 3},
	})
	must(err)
	must(client.RemoveToxic(&toxiproxy.ToxicOptions{ProxyName: "go", ToxicName: "cut"}))

	populated, err := client.Populate([]toxiproxy.Proxy{
		{Name: "go", Listen: proxy.Listen, Upstream: upstream, Enabled: true},
		{Name: "other", Listen: "127.0.0.1:0", Upstream: upstream, Enabled: true},
	})
	must(err)
	want(len(populated) == 2, "two are populated")
	proxies, err := client.Proxies()
	must(err)
	want(len(proxies) == 2, "two are listed")
	_, err = client.Proxy("nobody")
	want(err != nil, "an unknown proxy is an error")

	proxy.Upstream = "127.0.0.1:1"
	must(proxy.Save())
	must(client.ResetState())
	for _, one := range proxies {
		must(one.Delete())
	}
	fmt.Println("ok")
}
