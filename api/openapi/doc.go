// Package openapi holds requests and answers against an OpenAPI document. [Spec.Check]
// is a step that refuses a request which is not as described, before any handler
// sees it; [Spec.ValidateResponse] holds answers to it in tests. Start with [Load].
package openapi
