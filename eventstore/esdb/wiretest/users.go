package wiretest

import (
	"context"
	"encoding/base64"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// admin is the user that may everything.
const admin = "admin"

// RequireUsers has the cluster answer nobody but these users, by their
// passwords. The one called admin may everything; the others may not read $all
// until its metadata say so, nor the server's own streams. Without it the
// cluster is as insecure as a server that was started so.
func (c *Cluster) RequireUsers(passwords map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users = passwords
}

var errAccess = &model.Refusal{Code: model.PermissionDenied, Message: "Access Denied", Trailers: []string{"exception", "access-denied"}}

// allow refuses a request of somebody who is not known, or may not do it.
func (n *Node) allow(ctx context.Context, access model.Access, stream string) error {
	c := n.cluster
	c.mu.Lock()
	users := c.users
	c.mu.Unlock()
	if users == nil {
		return nil
	}
	user, password, ok := credentialsOf(ctx)
	if known, is := users[user]; !ok || !is || known != password {
		return status.Error(codes.Unauthenticated, "")
	}
	if !c.model.Allows(user, user == admin, access, stream) {
		return errAccess
	}
	return nil
}

func credentialsOf(ctx context.Context) (user, password string, ok bool) {
	asked, _ := metadata.FromIncomingContext(ctx)
	for _, header := range asked.Get("authorization") {
		if encoded, basic := strings.CutPrefix(header, "Basic "); basic {
			text, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				return "", "", false
			}
			return strings.Cut(string(text), ":")
		}
	}
	return "", "", false
}
