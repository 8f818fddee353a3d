# Who may call which endpoint. The endpoints and the scopes they need are in
# scopes.json, loaded as data.endpoints; the token has been verified already.
#
# input.endpoint   "GET /api/v1/agents/{agentId}"
# input.scopes     the scopes of the caller's token
# input.relations  what the caller is to the thing the path names: "self" for
#                  its own agent, "member" for its own organization
package agentidp.authz

default allow := false

required contains scope if {
	some scope in data.endpoints[input.endpoint].scopes
}

missing contains scope if {
	some scope in required
	not scope in input.scopes
}

# An endpoint that is not listed is not allowed to anybody.
allow if {
	data.endpoints[input.endpoint]
	count(missing) == 0
}

# Some endpoints are open to callers that stand in a relation to the thing they
# name, whatever their scopes: an agent may manage its own credentials. What
# else such a caller must be, the command itself decides.
allow if {
	some relation in data.endpoints[input.endpoint].relations
	relation in input.relations
}
