package config

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// esdbOptions are those that the client knows, in its own spelling. It ignores
// all others.
var esdbOptions = []string{
	"discoveryInterval", "gossipTimeout", "maxDiscoverAttempts", "nodePreference", "keepAliveInterval", "keepAliveTimeout",
	"tls", "tlsCAFile", "userCertFile", "userKeyFile", "tlsVerifyCert", "defaultDeadline",
}

// esdbFault says what the client takes in a connection string and cannot work, and
// what to do; "" when there is nothing. It quotes no more than names of options.
func esdbFault(server string) (fault, action string) {
	scheme, rest, _ := strings.Cut(server, "://")
	hosts, query, _ := strings.Cut(rest, "?")
	hosts = hosts[strings.LastIndexByte(hosts, '@')+1:]
	nodes := strings.Split(hosts, ",")
	if scheme == "esdb+discover" && len(nodes) > 1 {
		return "esdb+discover:// with several hosts", "name one host that resolves to all nodes, or write esdb:// with all of them"
	}
	for _, node := range nodes {
		if _, port, given := strings.Cut(node, ":"); given {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return "a port that is none", "use ports from 1 to 65535"
			}
		}
	}
	for option := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(option, "=")
		known := slices.ContainsFunc(esdbOptions, func(o string) bool { return strings.EqualFold(o, name) })
		switch {
		case name == "":
		case !known && len(name) <= 40 && name == url.QueryEscape(name):
			return "the option " + strconv.Quote(name) + ", which there is not", "use one of " + strings.Join(esdbOptions, ", ")
		case !known:
			return "an option that there is not (not shown)", "use one of " + strings.Join(esdbOptions, ", ")
		case strings.EqualFold(name, "defaultDeadline"):
			if n, err := strconv.Atoi(value); err != nil || n < 1 {
				return "a defaultDeadline that is no number above 0", "leave it out, or give milliseconds"
			}
		}
	}
	return "", ""
}
