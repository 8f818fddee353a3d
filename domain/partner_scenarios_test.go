package domain

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var theirs = PartnerID{uuid.MustParse("0198f2d4-0000-7000-8000-00000000b0b0")}

func partnerRegistered() PartnerRegistered {
	return PartnerRegistered{
		PartnerID: theirs, OrganizationID: operator.OrganizationID, Name: "Beta", Issuer: "https://id.beta.test",
		JWKSURI: "https://id.beta.test/jwks.json", AllowedOrganizations: []string{},
	}
}

func registerPartner(change func(*RegisterPartner)) RegisterPartner {
	c := RegisterPartner{
		Caller: operator, PartnerID: theirs, Name: "Beta", Issuer: "https://id.beta.test", JWKSURI: "https://id.beta.test/jwks.json",
		Ours: []string{"https://id.acme.test/agents", "https://acme.test"}, At: noon,
	}
	if change != nil {
		change(&c)
	}
	return c
}

func givenPartner(t testing.TB, events ...Event) story[Partner, PartnerCommand] {
	return given[Partner, PartnerCommand](t, events...)
}

func TestTheOperatorRegistersPartners(t *testing.T) {
	s := givenPartner(t).when(registerPartner(nil)).then(partnerRegistered())
	if !s.state.Exists() || s.state.StatusAt(noon) != PartnerActive || s.state.AuthorizeRead(operator) != nil {
		t.Errorf("after its registration: %+v", s.state)
	}
	s.when(registerPartner(nil)).thenNothing() // repeated after a crash
	s.when(registerPartner(func(c *RegisterPartner) { c.Issuer = "https://id.gamma.test" })).thenRefused(CodeConflict, "")
	full := partnerRegistered()
	full.AllowedOrganizations, full.ExpiresAt = []string{"b-1", "Größe"}, new(noon.Add(time.Hour))
	givenPartner(t).when(registerPartner(func(c *RegisterPartner) {
		c.AllowedOrganizations, c.ExpiresAt = full.AllowedOrganizations, full.ExpiresAt
	})).then(full)
	if p := s.state; p.AuthorizeRead(admin) == nil || (Partner{}).AuthorizeRead(operator) == nil {
		t.Error("a tenant's admin reads partners, or what is none is read")
	}
}

func TestOnlyTheOperatorTouchesPartners(t *testing.T) {
	s := givenPartner(t, partnerRegistered())
	givenPartner(t).when(registerPartner(func(c *RegisterPartner) { c.Caller = admin })).thenRefused(CodeInsufficientScope, "")
	s.when(registerPartner(func(c *RegisterPartner) { c.Caller = admin })).thenRefused(CodeInsufficientScope, "")
	s.when(UpdatePartner{Caller: admin, Name: new("x"), At: noon}).thenRefused(CodeInsufficientScope, "")
	s.when(DeletePartner{Caller: admin}).thenRefused(CodeInsufficientScope, "")
}

func TestAPartnerIsSomebodyElse(t *testing.T) {
	for _, issuer := range []string{
		"https://id.acme.test/agents", "https://id.acme.test/agents/", "https://ID.acme.test/agents", "https://id.acme.test:443/agents", "https://id.acme.test./agents",
		"https://id.acme.test", "https://id.acme.test/", "https://id.acme.test/ag", "https://id.acme.test/agents/x", "https://id.acme.test/agents.evil.test",
		"https://acme.test", "https://acme.test.evil.test", "https://acme.tes", "https://acme.test:8443",
	} {
		givenPartner(t).when(registerPartner(func(c *RegisterPartner) { c.Issuer = issuer })).thenRefused(CodeValidation, "issuer")
	}
	for _, issuer := range []string{"https://id.acme.test/hydra", "https://id.acme.test:8443/", "https://beta.test/A?", "https://beta.test/?a"} {
		story := givenPartner(t).when(registerPartner(func(c *RegisterPartner) { c.Issuer = issuer }))
		if strings.Contains(issuer, "?") {
			story.thenRefused(CodeValidation, "issuer")
			continue
		}
		want := partnerRegistered()
		want.Issuer = issuer // byte by byte
		story.then(want)
	}
}

func TestFieldsOfAPartnerAreBounded(t *testing.T) {
	many := make([]string, 257)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	for name, c := range map[string]struct {
		change func(*RegisterPartner)
		field  string
	}{
		"no name":             {func(c *RegisterPartner) { c.Name = "" }, "name"},
		"blank name":          {func(c *RegisterPartner) { c.Name = " " }, "name"},
		"long name":           {func(c *RegisterPartner) { c.Name = strings.Repeat("a", 129) }, "name"},
		"plain http":          {func(c *RegisterPartner) { c.Issuer = "http://id.beta.test" }, "issuer"},
		"no host":             {func(c *RegisterPartner) { c.Issuer = "https:///x" }, "issuer"},
		"a user":              {func(c *RegisterPartner) { c.Issuer = "https://a@id.beta.test" }, "issuer"},
		"a fragment":          {func(c *RegisterPartner) { c.Issuer = "https://id.beta.test/#" }, "issuer"},
		"no issuer":           {func(c *RegisterPartner) { c.Issuer = "" }, "issuer"},
		"long issuer":         {func(c *RegisterPartner) { c.Issuer = "https://id.beta.test/" + strings.Repeat("a", 2048) }, "issuer"},
		"a line break":        {func(c *RegisterPartner) { c.JWKSURI = "https://id.beta.test/\n" }, "jwksUri"},
		"keys by http":        {func(c *RegisterPartner) { c.JWKSURI = "http://id.beta.test/jwks" }, "jwksUri"},
		"257 organizations":   {func(c *RegisterPartner) { c.AllowedOrganizations = many }, "allowedOrganizations"},
		"one twice":           {func(c *RegisterPartner) { c.AllowedOrganizations = []string{"a", "a"} }, "allowedOrganizations"},
		"an empty one":        {func(c *RegisterPartner) { c.AllowedOrganizations = []string{""} }, "allowedOrganizations"},
		"expired before born": {func(c *RegisterPartner) { c.ExpiresAt = &noon }, "expiresAt"},
	} {
		t.Run(name, func(t *testing.T) {
			givenPartner(t).when(registerPartner(c.change)).thenRefused(CodeValidation, c.field)
		})
	}
	givenPartner(t).when(registerPartner(func(c *RegisterPartner) { c.AllowedOrganizations = many[:256] })).story.t.Log("256 pass")
}

func TestAPartnerIsChanged(t *testing.T) {
	s := givenPartner(t, partnerRegistered())
	s.when(UpdatePartner{Caller: operator, At: noon}).thenNothing()
	s.when(UpdatePartner{
		Caller: operator, Name: new("Beta"), JWKSURI: new("https://id.beta.test/jwks.json"), AllowedOrganizations: &[]string{},
		Status: new(PartnerActive), ExpiresAt: &Expiry{}, At: noon,
	}).thenNothing()
	until := noon.Add(time.Hour)
	changed := s.when(UpdatePartner{
		Caller: operator, Name: new("Beta 2"), JWKSURI: new("https://id.beta.test/2"), AllowedOrganizations: &[]string{"b"},
		Status: new(PartnerIsSuspended), ExpiresAt: &Expiry{Time: &until}, At: noon,
	}).then(
		PartnerUpdated{PartnerID: theirs, Name: new("Beta 2"), JWKSURI: new("https://id.beta.test/2"), AllowedOrganizations: &[]string{"b"}, ExpiresAt: &Expiry{Time: &until}},
		PartnerSuspended{PartnerID: theirs},
	)
	if p := changed.state; p.Name != "Beta 2" || p.StatusAt(noon) != PartnerIsSuspended || p.Edition != 3 || p.StatusAt(until) != PartnerIsExpired {
		t.Errorf("changed: %+v", p)
	}
	changed.when(UpdatePartner{Caller: operator, Status: new(PartnerActive), At: noon}).then(PartnerReactivated{PartnerID: theirs})
	changed.when(UpdatePartner{Caller: operator, ExpiresAt: &Expiry{}, At: noon}).then(PartnerUpdated{PartnerID: theirs, ExpiresAt: &Expiry{}})
	s.when(UpdatePartner{Caller: operator, Status: new(PartnerIsExpired), At: noon}).thenRefused(CodeValidation, "status")
	s.when(UpdatePartner{Caller: operator, ExpiresAt: &Expiry{Time: &noon}, At: noon}).thenRefused(CodeValidation, "expiresAt")
	s.when(UpdatePartner{Caller: operator, JWKSURI: new("http://id.beta.test"), At: noon}).thenRefused(CodeValidation, "jwksUri")
	s.when(UpdatePartner{Caller: operator, Name: new(""), At: noon}).thenRefused(CodeValidation, "name")
	givenPartner(t).when(UpdatePartner{Caller: operator, Name: new("x"), At: noon}).thenRefused(CodePartnerNotFound, "")
}

func TestTheEndOfAPartnersTimeIsRecordedOnce(t *testing.T) {
	registered := partnerRegistered()
	registered.ExpiresAt = &noon
	s := givenPartner(t, registered)
	if before, at := s.state.StatusAt(noon.Add(-time.Second)), s.state.StatusAt(noon); before != PartnerActive || at != PartnerIsExpired {
		t.Errorf("%s before its time, %s at it", before, at)
	}
	s.when(ExpirePartner{At: noon.Add(-time.Second)}).thenNothing()
	expired := s.when(ExpirePartner{At: noon.Add(time.Minute)}).then(PartnerExpired{PartnerID: theirs, ExpiresAt: noon})
	expired.when(ExpirePartner{At: noon.Add(time.Hour)}).thenNothing()
	expired.when(UpdatePartner{Caller: operator, Status: new(PartnerActive), At: noon.Add(time.Hour)}).thenRefused(CodeConflict, "status")

	later := noon.Add(2 * time.Hour)
	again := expired.when(UpdatePartner{Caller: operator, Status: new(PartnerActive), ExpiresAt: &Expiry{Time: &later}, At: noon.Add(time.Hour)}).
		then(PartnerUpdated{PartnerID: theirs, ExpiresAt: &Expiry{Time: &later}})
	again.when(ExpirePartner{At: later}).then(PartnerExpired{PartnerID: theirs, ExpiresAt: later})
	givenPartner(t, partnerRegistered()).when(ExpirePartner{At: later}).thenNothing()
	givenPartner(t, registered, PartnerDeleted{PartnerID: theirs}).when(ExpirePartner{At: later}).thenNothing()
}

func TestADeletedPartnerIsGoneForGood(t *testing.T) {
	s := givenPartner(t, partnerRegistered()).when(DeletePartner{Caller: operator}).then(PartnerDeleted{PartnerID: theirs})
	if s.state.Exists() || !s.state.Abandoned() {
		t.Errorf("after its end: %+v", s.state)
	}
	s.when(DeletePartner{Caller: operator}).thenRefused(CodePartnerNotFound, "")
	s.when(UpdatePartner{Caller: operator, Name: new("x"), At: noon}).thenRefused(CodePartnerNotFound, "")
	s.when(registerPartner(nil)).thenRefused(CodeConflict, "")
}

func TestAnAbandonedRegistrationNeverBecomesAPartner(t *testing.T) {
	s := givenPartner(t).when(AbandonPartner{PartnerID: theirs}).then(PartnerAbandoned{PartnerID: theirs})
	s.when(AbandonPartner{PartnerID: theirs}).thenNothing()
	s.when(registerPartner(nil)).thenRefused(CodeConflict, "")
	s.when(DeletePartner{Caller: operator}).thenRefused(CodePartnerNotFound, "")
	givenPartner(t, partnerRegistered()).when(AbandonPartner{PartnerID: theirs}).thenRefused(CodeConflict, "issuer")
}

func TestAllowedOrganizationsAreCompared(t *testing.T) {
	for _, c := range []struct {
		allowed []string
		of      string
		may     bool
	}{{nil, "", true}, {nil, "a", true}, {[]string{"a"}, "a", true}, {[]string{"a"}, "A", false}, {[]string{"a"}, "", false}, {[]string{"a"}, "b", false}} {
		if got := (Partner{AllowedOrganizations: c.allowed}).Allows(c.of); got != c.may {
			t.Errorf("%q of %q: %v, want %v", c.of, c.allowed, got, c.may)
		}
	}
}
