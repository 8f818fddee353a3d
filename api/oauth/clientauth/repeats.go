package clientauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/quota"
)

// repeatWindow is how soon after a refusal a library has sent the same again.
const repeatWindow = 10 * time.Second

// repeated reports whether a failed attempt is the second half of one that has
// been counted. Libraries send a wrong secret twice for one call of their
// user: by HTTP Basic and then in the form, or once more after asking for the
// metadata. Every other attempt of one client from one address with one and
// the same secret counts, so trying one secret over and over gains no more than that half, and
// each other secret is a failure of its own.
func (cs *Clients) repeated(c *gin.Context) (bool, error) {
	key, there := cs.attemptKey(c)
	if !there {
		return false, nil
	}
	outcome, err := cs.limiter.Take(c.Request.Context(), limits.Demand{
		Windows: []limits.Window{{Key: key, Max: limits.Unbounded, Span: repeatWindow}},
	})
	return err == nil && outcome.Windows[0].Count%2 == 0, err
}

// attemptKey names a client, its address and the secret that was presented for it, and tells
// none of them: it is a hash under a key that never leaves the keyring, and not the
// one by which a right secret would be recognized.
func (cs *Clients) attemptKey(c *gin.Context) (key string, there bool) {
	client := claimedClient(c)
	secret := c.Request.PostForm.Get("client_secret")
	if _, password, basic := access.ReadAuthorization(c.Request).Userinfo(); basic {
		secret, _ = url.QueryUnescape(password)
	}
	if client.IsZero() || secret == "" {
		return "", false
	}
	verifiers := cs.keys.Verifiers(secret)
	if len(verifiers) == 0 {
		return "", false
	}
	mac := hmac.New(sha256.New, verifiers[0].MAC)
	mac.Write([]byte("agentidp failed attempt of " + client.String() + " from " + quota.Address(c)))
	return "rate:failures:same:" + hex.EncodeToString(mac.Sum(nil)[:16]), true
}

// passRepeated gives back the error of an attempt that has been counted, and
// says on the answer how its address stands.
func (cs *Clients) passRepeated(c *gin.Context, err error) error {
	_, windows, outcome, lookErr := cs.failures(c, claimedClient(c), true)
	if lookErr != nil {
		return lookErr
	}
	quota.MarkCounted(c)
	if len(windows) > 0 {
		quota.Announce(c, shownFailures(windows[0]), outcome.Windows[0])
	}
	return err
}
