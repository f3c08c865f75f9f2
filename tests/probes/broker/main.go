// A Kafka broker in memory for the tests of the kafka_lag probe: franz-go's kfake, which speaks Kafka's own protocol.
//
// It listens at -listen and tells its clients to connect to -advertise, as a broker in a container does.
package main

import (
	"flag"
	"log"
	"net"

	"github.com/twmb/franz-go/pkg/kfake"
)

type advertised struct{ name string }

func (a advertised) Network() string { return "tcp" }
func (a advertised) String() string  { return a.name }

type listener struct {
	net.Listener
	as advertised
}

func (l listener) Addr() net.Addr { return l.as }

func main() {
	listen := flag.String("listen", "127.0.0.1:9092", "where to listen")
	advertise := flag.String("advertise", "", "what clients are told to connect to")
	topic := flag.String("topic", "orders", "a topic of two partitions")
	flag.Parse()

	listening := func(string, string) (net.Listener, error) {
		made, err := net.Listen("tcp", *listen)
		if err != nil || *advertise == "" {
			return made, err
		}
		return listener{made, advertised{*advertise}}, nil
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(listening), kfake.SeedTopics(2, *topic))
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	select {}
}
