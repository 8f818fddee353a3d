// Package access is who calls and what they may reach: the bearer token, the policy,
// the tenant. Start with [Caller].
package access
