package foreign_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func TestXOAuth2(t *testing.T) {
	s := loadScene(t)
	config := func(style oauth2.AuthStyle) clientcredentials.Config {
		return clientcredentials.Config{
			ClientID: s.Secret.ID, ClientSecret: s.Secret.Secret, TokenURL: s.Issuer + "/oauth2/token",
			Scopes: []string{"agents:read"}, AuthStyle: style,
		}
	}
	for name, style := range map[string]oauth2.AuthStyle{
		"detected": oauth2.AuthStyleAutoDetect, "header": oauth2.AuthStyleInHeader, "parameters": oauth2.AuthStyleInParams,
	} {
		t.Run("client credentials, "+name, func(t *testing.T) {
			c := config(style)
			token, err := c.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if token.Type() != "Bearer" || token.Extra("scope") != "agents:read" || token.Expiry.IsZero() {
				t.Errorf("got %+v", token)
			}
			if status := s.status(t, c.Client(t.Context())); status != http.StatusOK {
				t.Errorf("status of the API: %d", status)
			}
			s.revoke(t, token.AccessToken)
			if status := s.status(t, oauth2.NewClient(t.Context(), oauth2.StaticTokenSource(token))); status != http.StatusUnauthorized {
				t.Errorf("status of the API once revoked: %d", status)
			}
		})
	}
	t.Run("token exchange", func(t *testing.T) {
		c := config(oauth2.AuthStyleInHeader)
		actor, err := c.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.EndpointParams = url.Values{
			"grant_type": {grantExchange}, "subject_token": {s.Delegation}, "subject_token_type": {tokenTypeDelegation},
			"actor_token": {actor.AccessToken}, "actor_token_type": {tokenTypeAccess},
		}
		token, err := c.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen, err := s.introspect(t.Context(), token.AccessToken)
		if err != nil || seen["sub"] != s.Other.ID {
			t.Errorf("introspection: %v, %v", seen, err)
		}
	})
	t.Run("a wrong secret", func(t *testing.T) {
		for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
			c := config(style)
			c.ClientSecret = "sk_live_wrong"
			_, err := c.Token(context.WithValue(t.Context(), oauth2.HTTPClient, http.DefaultClient))
			var refused *oauth2.RetrieveError
			if !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" || refused.Response.StatusCode != http.StatusUnauthorized {
				t.Errorf("got %v", err)
			}
		}
	})
}
