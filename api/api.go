package api

import (
	"context"
	_ "embed"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/audit"
	"github.com/sentryagent/agentidp/api/compliance"
	"github.com/sentryagent/agentidp/api/consistency"
	"github.com/sentryagent/agentidp/api/delegation"
	"github.com/sentryagent/agentidp/api/did"
	"github.com/sentryagent/agentidp/api/discovery"
	"github.com/sentryagent/agentidp/api/federation"
	"github.com/sentryagent/agentidp/api/health"
	"github.com/sentryagent/agentidp/api/idempotency"
	"github.com/sentryagent/agentidp/api/ledgerlog"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/oauth"
	"github.com/sentryagent/agentidp/api/oauth/clientauth"
	"github.com/sentryagent/agentidp/api/oauth/grants"
	"github.com/sentryagent/agentidp/api/openapi"
	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/api/registry"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/turns"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/history"
	"github.com/sentryagent/agentidp/replay/verify"
	"github.com/sentryagent/agentidp/tokens"
)

//go:embed openapi.yaml
var description []byte

// Options are the API's settings.
type Options struct {
	Version        string
	PublicURL      string                      // the API's own address, and the audience of its tokens
	Issuer         string                      // of all tokens
	DID            func(domain.AgentID) string // see [DID]
	DIDMaxAge      time.Duration               // how long others may keep DID documents and cards
	SigningAlg     string                      // RS256 or ES256
	JWKSLifetime   time.Duration               // how long clients may keep the key set
	CORSOrigins    []string
	TrustedProxies []netip.Prefix // whose X-Forwarded-For counts
	HSTS           bool
	Delegation     bool          // agents may lend each other authority
	Compliance     bool          // the report and the agent cards are served
	ReadWait       time.Duration // bound of a read's wait for the read models
	RetentionDays  int           // of the audit query; 0: as the tier says
	RateLimit      quota.Limit
	PartnerKeysTTL time.Duration // how long the keys of federation partners are kept
	// TierEnforcement: the daily limits of the tiers hold. They are counted
	// either way.
	TierEnforcement bool
	MetricsAllow    []netip.Prefix
	// MetricsElsewhere: /metrics is served on a port of its own.
	MetricsElsewhere bool
	Now              func() time.Time
}

// WriteSide is what commands go to.
type WriteSide struct {
	Ledger      *ledger.Ledger
	Revocations *revocation.Index
	Idempotency *ledger.IdempotencyKeys
	Assertions  *clientauth.UsedAssertions
}

// ReadSide is what queries go to.
type ReadSide struct {
	Queries   *readmodels.Queries
	Progress  *projections.Progress
	History   *history.History
	Verifier  *verify.Verifier
	Logs      *transparency.Logs
	Signer    *transparency.Signer
	Witnesses *transparency.Witnesses
}

// Surroundings are what both sides are reached through.
type Surroundings struct {
	Keys       *keyring.Keyring
	Policy     *policy.Policy
	Limiter    *limits.Limiter
	Redis      *redis.Client
	Instance   did.Instance                               // the server itself as a DID
	EventStore func() health.EventStore                   // nil where the ledger is in the database
	Controls   func(context.Context) []compliance.Control // never fails
	Fetch      federation.Fetch                           // of what others name, guarded
	Registry   *prometheus.Registry
	Logger     *slog.Logger
}

// API answers HTTP: its rooms behind one router.
type API struct {
	*router.Router

	health        *health.Handler
	verifications *turns.Verifications
	partners      *federation.Events
}

// ReportPartnerExpired says that a federation partner's time has run out, which was
// put on record; the metrics count it.
func (a *API) ReportPartnerExpired() { a.partners.PartnerExpired() }

// ReportUnguarded says how many guards of the database were found not to be as
// they should; the detailed health shows it.
func (a *API) ReportUnguarded(faults int64) { a.health.ReportUnguarded(faults) }

// ReportInterfered says how much was found to have been done to the ledger's streams
// past the ledger; the detailed health shows it.
func (a *API) ReportInterfered(streams int64) { a.health.ReportInterfered(streams) }

// ReportIntegrity says what a verification of the ledger found that was not asked
// for through the API; the metrics show it.
func (a *API) ReportIntegrity(intact bool) { a.verifications.ShowIntegrity(intact) }

// New puts the API together. It fails when the OpenAPI document, the policy
// and the routes do not fit each other.
func New(write WriteSide, read ReadSide, around Surroundings, options Options) (*API, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	spec, err := openapi.Load(description, options.PublicURL)
	if err != nil {
		return nil, err
	}
	verifier, err := tokens.NewVerifier(around.Keys, options.Issuer, options.Now)
	if err != nil {
		return nil, err
	}
	guard := &access.Guard{
		Tokens: verifier, Audience: options.PublicURL, Revocations: write.Revocations, Policy: around.Policy, Ledger: write.Ledger,
		Challenge: access.Challenge(discovery.ResourceMetadataURL(options.PublicURL)),
		Rejected:  access.NewRejected(around.Registry), Logger: around.Logger,
	}
	tiers := quota.NewTiers(around.Limiter, write.Revocations, read.Queries, around.Registry, options.Now, options.TierEnforcement)
	rates := quota.NewRates(around.Limiter, tiers, options.RateLimit)
	reads := consistency.NewReads(read.Progress, write.Revocations, options.ReadWait)
	served := router.New(router.Options{
		CORSOrigins: options.CORSOrigins, TrustedProxies: options.TrustedProxies, HSTS: options.HSTS,
		Now: options.Now, Logger: around.Logger, Registry: around.Registry, Refusing: rates.CountRefusal,
	}, router.Steps{
		Authenticate: guard.Authenticate, Admit: rates.AdmitCaller, Current: reads.Current, Validate: spec.Check,
		Limits: rates.Steps(), Reads: reads.Steps(), Repeats: idempotency.New(write.Idempotency, around.Logger).Steps(),
	})

	verifications := turns.NewVerifications(read.Verifier, around.Registry, options.Now)
	lent := delegation.NewCounters(around.Registry)
	clients, err := clientauth.New(clientauth.Parts{
		Ledger: write.Ledger, Used: write.Assertions, Keys: around.Keys, Rates: rates, Limiter: around.Limiter, Registry: around.Registry,
		Audiences: []string{options.Issuer, options.PublicURL + oauth.TokenPath}, Now: options.Now,
	})
	if err != nil {
		return nil, err
	}
	issuing := &oauth.Handler{
		Issuer: options.Issuer, Audience: options.PublicURL, Clients: clients, Ledger: write.Ledger, Revocations: write.Revocations,
		Tokens: verifier, Signer: tokens.NewSigner(around.Keys, options.SigningAlg), Guard: guard, Rates: rates, Tiers: tiers,
		Counters: oauth.Counters{Issued: oauth.NewIssued(around.Registry), DelegationRevoked: lent.Revoked}, Now: options.Now,
		Grants: []grants.Grant{grants.ClientCredentials{Clients: clients, Ledger: write.Ledger}},
	}
	if options.Delegation {
		issuing.Grants = append(issuing.Grants, grants.TokenExchange{
			Clients: clients, Ledger: write.Ledger, Revocations: write.Revocations, Tokens: verifier, IsOurs: guard.IsOurs,
		})
	}
	registered := &registry.Handler{
		Ledger: write.Ledger, Queries: read.Queries, Revocations: write.Revocations, Tiers: tiers, Reads: reads,
		DID: options.DID, NewSecret: newSecret(around.Keys), CheckKey: clientauth.CheckedKey,
		Registered: registry.NewRegistered(around.Registry), Now: options.Now,
	}
	identities := &did.Handler{
		Ledger: write.Ledger, Queries: read.Queries, Reads: reads, DID: options.DID, Instance: around.Instance,
		PublicURL: options.PublicURL, Issuer: options.Issuer, MaxAge: options.DIDMaxAge, CheckKey: clientauth.CheckedKey,
		Used: write.Assertions, Generated: did.NewGenerated(around.Registry), Now: options.Now,
	}
	lending := &delegation.Handler{
		Ledger: write.Ledger, Queries: read.Queries, Revocations: write.Revocations, Keys: around.Keys,
		Guard: guard, Counters: lent, Now: options.Now,
	}
	trail := &audit.Handler{
		Ledger: write.Ledger, Queries: read.Queries, Trail: turns.OfTrail(options.Now),
		History: read.History, Readers: turns.OfHistory(options.Now), Verifications: verifications,
		RetentionDays: options.RetentionDays, Logger: around.Logger, Now: options.Now,
	}
	logs := &ledgerlog.Handler{
		Ledger: write.Ledger, Logs: read.Logs, Signer: read.Signer, Witnesses: read.Witnesses, Reads: reads,
		Event: trail.Event, Logger: around.Logger,
	}
	federated, err := federation.New(federation.Handler{
		Ledger: write.Ledger, Queries: read.Queries, Revocations: write.Revocations, Fetch: around.Fetch, KeysTTL: options.PartnerKeysTTL,
		Ours: []string{options.PublicURL, options.Issuer}, Challenge: guard.Challenge, Events: federation.NewEvents(around.Registry), Now: options.Now,
	})
	if err != nil {
		return nil, err
	}
	officer := compliance.New(compliance.Handler{
		Ledger: write.Ledger, Queries: read.Queries, Verifications: verifications, Controls: around.Controls,
		Enabled: options.Compliance, Issuer: options.Issuer, Now: options.Now,
	}, around.Registry)
	state := &health.Handler{
		Version: options.Version, Ledger: write.Ledger, Revocations: write.Revocations, Queries: read.Queries, Progress: read.Progress,
		Redis: around.Redis, Limiter: around.Limiter, EventStore: around.EventStore, Server: served,
	}
	if !options.MetricsElsewhere {
		state.Metrics = health.NewMetrics(around.Registry, options.MetricsAllow)
	}
	found, err := discovery.New(discovery.Handler{
		Issuer: options.Issuer, Audience: options.PublicURL,
		Endpoints: discovery.Endpoints{
			Authorization: oauth.AuthorizePath, Token: oauth.TokenPath, Introspection: oauth.IntrospectPath, Revocation: oauth.RevokePath,
		},
		Grants: issuing.GrantTypes(), AssertionAlgorithms: clientauth.Algorithms(), Description: spec.Published(),
		JWKS: around.Keys.Published, JWKSLifetime: options.JWKSLifetime,
	})
	if err != nil {
		return nil, err
	}

	served.Alias(found.Aliases())
	rooms := [][]router.Route{
		issuing.Routes(), registered.Routes(), identities.Routes(), trail.Routes(), logs.Routes(), officer.Routes(), federated.Routes(), state.Routes(), found.Routes(),
	}
	if options.Delegation {
		rooms = append(rooms, lending.Routes())
	}
	for _, routes := range rooms {
		if err := served.Add(routes...); err != nil {
			return nil, err
		}
	}
	return &API{Router: served, health: state, verifications: verifications, partners: federated.Events}, nil
}

// newSecret makes client secrets, each with its verifier.
func newSecret(keys *keyring.Keyring) func() (string, domain.Verifier) {
	return func() (string, domain.Verifier) {
		secret := NewClientSecret()
		keyID, mac := keys.CredentialVerifier(secret)
		return secret, domain.Verifier{KeyID: keyID, MAC: mac}
	}
}
