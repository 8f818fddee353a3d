package realstore

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"strconv"
	"strings"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// Server is the nodes of a connection string, for who speaks the bare protocol.
type Server struct{ config *client.Configuration }

// Parse reads a connection string that names no ledger.
func Parse(url string) (Server, error) {
	config, err := client.ParseConnectionString(url)
	return Server{config}, err
}

// Seeds are the addresses that the connection string names.
func (s Server) Seeds() (seeds []string) {
	for _, seed := range s.config.GossipSeeds {
		seeds = append(seeds, seed.String())
	}
	if s.config.Address != "" {
		seeds = append(seeds, s.config.Address)
	}
	for i, seed := range seeds {
		seeds[i] = strings.TrimPrefix(strings.TrimPrefix(seed, "https://"), "http://")
	}
	return seeds
}

// Dial makes a connection to a node. It is not tried before it is used.
func (s Server) Dial(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	transport := credentials.NewTLS(&tls.Config{RootCAs: s.config.RootCAs, InsecureSkipVerify: s.config.SkipCertificateVerification})
	if s.config.DisableTLS {
		transport = insecure.NewCredentials()
	}
	return grpc.NewClient(address, append(options, grpc.WithTransportCredentials(transport))...)
}

// As has calls say who calls.
func (s Server) As(ctx context.Context) context.Context {
	if s.config.Username == "" {
		return ctx
	}
	basic := base64.StdEncoding.EncodeToString([]byte(s.config.Username + ":" + s.config.Password))
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Basic "+basic)
}

// leads tells which node a node says leads; empty where it knows of none.
func (s Server) leads(ctx context.Context, address string) (leader string, err error) {
	connection, err := s.Dial(address)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	info, err := gossip.NewGossipClient(connection).Read(s.As(ctx), &shared.Empty{})
	if err != nil {
		return "", err
	}
	for _, m := range info.GetMembers() {
		if m.GetIsAlive() && m.GetState() == gossip.MemberInfo_Leader {
			return net.JoinHostPort(m.GetHttpEndPoint().GetAddress(), strconv.Itoa(int(m.GetHttpEndPoint().GetPort()))), nil
		}
	}
	return "", nil
}
