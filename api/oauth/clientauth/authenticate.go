package clientauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
)

// Clients knows the clients of the ledger.
type Clients struct {
	ledger     *ledger.Ledger
	used       *UsedAssertions
	keys       *keyring.Keyring // that secrets are recognized by
	rates      *quota.Rates
	limiter    *limits.Limiter
	audiences  []string // by which an assertion may name this server
	now        func() time.Time
	failed     *prometheus.CounterVec              // by reason
	clientKeys *lru.Cache[string, jose.JSONWebKey] // by their JWK, see clientKey
}

// Parts are what [Clients] are made of.
type Parts struct {
	Ledger   *ledger.Ledger
	Used     *UsedAssertions
	Keys     *keyring.Keyring
	Rates    *quota.Rates
	Limiter  *limits.Limiter
	Registry prometheus.Registerer
	// Audiences are the names by which an assertion may call this server.
	Audiences []string
	Now       func() time.Time
}

// New makes the clients of a ledger.
func New(parts Parts) (*Clients, error) {
	const rememberedKeys = 4096
	clientKeys, err := lru.New[string, jose.JSONWebKey](rememberedKeys)
	if err != nil {
		return nil, err
	}
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "agentidp_auth_failures_total", Help: "Failed client authentications.",
	}, []string{"reason"})
	parts.Registry.MustRegister(failed)
	return &Clients{
		ledger: parts.Ledger, used: parts.Used, keys: parts.Keys, rates: parts.Rates, limiter: parts.Limiter,
		audiences: parts.Audiences, now: parts.Now, failed: failed, clientKeys: clientKeys,
	}, nil
}

// Weighing holds a proof against the ledger: [ledger.Ledger.Authenticate] or
// [ledger.Ledger.AuthenticateNow].
type Weighing func(ctx context.Context, id domain.AgentID, proof domain.Proof, at time.Time) (ledger.Client, error)

// Authenticate finds the client that a request comes from. A failure has been
// put on record.
func (cs *Clients) Authenticate(c *gin.Context, weigh Weighing) (ledger.Client, error) {
	who, err := cs.identify(c)
	if err != nil {
		return ledger.Client{}, cs.Failed(c, who.agentID, err)
	}
	client, err := weigh(c.Request.Context(), who.agentID, who.proof, cs.now())
	return client, cs.Failed(c, who.agentID, err)
}

// Sent: the request names a client by more than its id.
func Sent(r *http.Request) bool {
	form := r.PostForm
	return access.ReadAuthorization(r).Sent() || form.Has("client_secret") || form.Has("client_assertion") || form.Has("client_assertion_type")
}

// claim is who a request says that it comes from, and what it authenticates with.
type claim struct {
	agentID domain.AgentID
	proof   domain.Proof
}

// identify reads client authentication off a request: client_secret_basic,
// client_secret_post or private_key_jwt, exactly one of them.
func (cs *Clients) identify(c *gin.Context) (claim, error) {
	if err := cs.mayAuthenticate(c); err != nil {
		return claim{}, err
	}
	form, header := c.Request.PostForm, access.ReadAuthorization(c.Request)
	byAssertion := form.Has("client_assertion") || form.Has("client_assertion_type")
	switch {
	case count(header.Sent(), form.Has("client_secret"), byAssertion) > 1:
		return claim{}, badRequest("use one way of client authentication, not several")
	case byAssertion:
		return cs.identifyByAssertion(c.Request.Context(), form)
	case header.Scheme == access.Basic:
		return cs.identifyByBasic(form, header)
	case !form.Has("client_secret"):
		return claim{}, errNoClient
	case !form.Has("client_id"):
		return claim{}, &domain.AuthError{Reason: domain.AuthUnknownClient}
	}
	return cs.identifyBySecret(form.Get("client_id"), form.Get("client_secret"))
}

// identifyByBasic: RFC 6749 section 2.3.1, both parts form-encoded.
func (cs *Clients) identifyByBasic(form url.Values, header access.Authorization) (claim, error) {
	rawID, rawSecret, _ := header.Userinfo()
	id, idErr := url.QueryUnescape(rawID)
	secret, secretErr := url.QueryUnescape(rawSecret)
	if idErr != nil || secretErr != nil {
		return claim{}, &domain.AuthError{Reason: domain.AuthUnknownClient}
	}
	if form.Has("client_id") && form.Get("client_id") != id {
		return claim{}, badRequest("client_id differs from the one in the Authorization header")
	}
	return cs.identifyBySecret(id, secret)
}

func (cs *Clients) identifyBySecret(id, secret string) (claim, error) {
	agentID, err := domain.ParseAgentID(id)
	if err != nil {
		return claim{}, &domain.AuthError{Reason: domain.AuthUnknownClient}
	}
	return claim{agentID: agentID, proof: domain.Proof{Secret: cs.verifiers(secret)}}, nil
}

func (cs *Clients) verifiers(secret string) []domain.Verifier {
	verifiers := cs.keys.Verifiers(secret)
	presented := make([]domain.Verifier, len(verifiers))
	for i, v := range verifiers {
		presented[i] = domain.Verifier{KeyID: v.KeyID, MAC: v.MAC}
	}
	return presented
}

// identifyByAssertion: RFC 7523 section 3. The key that has signed is looked for
// among those that the ledger knows now, before the assertion is used up.
func (cs *Clients) identifyByAssertion(ctx context.Context, form url.Values) (claim, error) {
	if form.Get("client_assertion_type") != assertionType {
		return claim{}, badRequest("client_assertion_type must be " + assertionType)
	}
	claimed, err := readAssertion(form.Get("client_assertion"), cs.audiences, cs.now())
	if err != nil {
		return claim{}, err
	}
	if form.Has("client_id") && form.Get("client_id") != claimed.agentID.String() {
		return claim{}, &badAssertion{"client_id and sub of client_assertion must be the same"}
	}
	agent, err := cs.ledger.Agent(ctx, claimed.agentID)
	if err != nil {
		return claim{}, err
	}
	who := claim{agentID: claimed.agentID}
	signer, err := cs.signingCredential(agent, claimed)
	if err != nil {
		return who, err
	}
	who.proof = domain.Proof{CredentialID: signer.ID, PublicKey: signer.PublicKey}
	return who, cs.used.useOnce(ctx, claimed)
}

func count(conditions ...bool) int {
	n := 0
	for _, condition := range conditions {
		if condition {
			n++
		}
	}
	return n
}
