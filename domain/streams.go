package domain

import "regexp"

const uuidForm = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`

var streamForm = regexp.MustCompile(`^((agent|organization|seats|delegation|partner)-` + uuidForm +
	`|claim-(email|slug|issuer)-[0-9a-f]{64}|security-[0-9]{4}-[0-9]{2}-[0-9]{2}|did-instance|(ledger|signing_key)-.+)$`)

// IsStream reports whether a stream of this name can be one of the ledger's.
func IsStream(name string) bool { return streamForm.MatchString(name) }
