package wiretest

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

type gossipService struct {
	gossip.UnimplementedGossipServer
	node *Node
}

// Read tells of the nodes what this one knows.
func (s *gossipService) Read(ctx context.Context, _ *shared.Empty) (*gossip.ClusterInfo, error) {
	members, err := s.node.model.Gossip(ctx)
	if err != nil {
		return nil, s.node.told(ctx, err)
	}
	info, view := &gossip.ClusterInfo{}, s.node.cluster.viewOf(ctx, s.node)
	for _, m := range members {
		host, text, err := net.SplitHostPort(view.advertises(s.node.cluster.nodes[m.Node.Number()]))
		if err != nil {
			return nil, err
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return nil, err
		}
		info.Members = append(info.Members, &gossip.MemberInfo{
			TimeStamp: time.Now().Unix(), State: stateOf[m.State], IsAlive: m.Alive,
			HttpEndPoint: &gossip.EndPoint{Address: host, Port: uint32(port)},
		})
	}
	return info, nil
}

var stateOf = map[model.State]gossip.MemberInfo_VNodeState{
	model.Lost: gossip.MemberInfo_Unknown, model.Follower: gossip.MemberInfo_Follower, model.Leader: gossip.MemberInfo_Leader,
}

type featuresService struct {
	serverfeatures.UnimplementedServerFeaturesServer
	node *Node
}

func (s featuresService) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	const streams = "event_store.client.streams.streams"
	return &serverfeatures.SupportedMethods{
		EventStoreServerVersion: s.node.cluster.model.Version() + ".0",
		Methods: []*serverfeatures.SupportedMethod{
			{ServiceName: streams, MethodName: "append"},
			{ServiceName: streams, MethodName: "batchappend"},
			{ServiceName: streams, MethodName: "read"},
			{ServiceName: streams, MethodName: "delete"},
			{ServiceName: streams, MethodName: "tombstone"},
		},
	}, nil
}
