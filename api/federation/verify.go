package federation

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
)

func (h *Handler) verify(c *gin.Context) error {
	body, err := wire.Decode[gen.FederatedToken](c)
	if err != nil {
		return err
	}
	t, err := h.verified(c.Request.Context(), body.Token, wire.ValueOf(body.Audience))
	if no, is := errors.AsType[*refused](err); is {
		h.Events.total.WithLabelValues(verifyRefused).Inc()
		c.Header("WWW-Authenticate", h.Challenge)
		return domain.Refuse(domain.CodeUnauthorized, "%s", no.Error()).With("reason", no.reason)
	}
	if err != nil {
		h.Events.total.WithLabelValues(verifyUnavailable).Inc()
		return err
	}
	h.Events.total.WithLabelValues(verifySucceeded).Inc()
	c.JSON(http.StatusOK, gen.FederatedTokenClaims{
		Valid: true, Issuer: t.issuer, Subject: t.subject, Audience: t.audience, OrganizationID: wire.TextOrNull(t.organization), Claims: t.claims,
	})
	return nil
}

// verified gives a good token of an active partner, for an audience where one is
// asked for. The error is a [refused], or that it cannot be known.
//
// The partner is as it stood when the request came in, or later: the caller's own
// token was judged by a view of the ledger that saw all that was committed before.
func (h *Handler) verified(ctx context.Context, text, audience string) (token, error) {
	t, err := readToken(text)
	if err != nil {
		return t, err
	}
	partner, found := h.Revocations.Latest().Partner(t.issuer)
	if !found {
		return t, &refused{unknownIssuer, "no federation partner has its issuer"}
	}
	now := h.Now()
	switch partner.StatusAt(now) {
	case domain.PartnerActive:
	case domain.PartnerIsExpired:
		return t, &refused{isExpired, "the federation partner has expired"}
	default:
		return t, &refused{isSuspended, "the federation partner is suspended"}
	}
	if err := h.checkSignature(ctx, partner, t); err != nil {
		return t, err
	}
	if err := t.mustBeCurrent(now); err != nil {
		return t, err
	}
	switch {
	case audience != "" && !slices.Contains(t.audience, audience):
		return t, &refused{otherAudience, "it is made out to somebody else"}
	case !partner.Allows(t.organization):
		return t, &refused{otherTenant, "the federation partner may not speak for its organization"}
	}
	return t, nil
}

// checkSignature asks the keys of the partner, and no others.
func (h *Handler) checkSignature(ctx context.Context, partner domain.Partner, t token) error {
	keys, err := h.keys.find(ctx, partner, t.keyID, t.algorithm)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return domain.Refuse(domain.CodeUnavailable, "%s; try again", err.Error())
	case len(keys) == 0:
		return &refused{unknownKey, "the federation partner has no key for its kid and alg"}
	}
	for _, k := range keys {
		if k.method.Verify(t.signed, t.signature, k.public) == nil {
			return nil
		}
	}
	return &refused{badSignature, "its signature is not the federation partner's"}
}

func (t token) mustBeCurrent(now time.Time) error {
	if !now.Before(t.expiresAt.Add(clockSkew)) {
		return &refused{outOfTime, "it has expired"}
	}
	for _, from := range t.notBefore {
		if from.After(now.Add(clockSkew)) {
			return &refused{outOfTime, "it is from the future: look at the clock of its issuer"}
		}
	}
	return nil
}
