package readmodels_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// tenants gives two organizations, each with a row in every read model.
func (w *world) tenants(t testing.TB, progress *projections.Progress) (ids [2]domain.OrganizationID, agents [2]domain.AgentID, credentials [2]domain.CredentialID) {
	t.Helper()
	for i := range ids {
		ids[i], agents[i], credentials[i] = newOrganizationID(), newAgentID(), newCredentialID()
		record(t, w.store, domain.OrganizationStream(ids[i]), ids[i],
			domain.OrganizationCreated{OrganizationID: ids[i], Name: "n", Slug: ids[i].String(), PlanTier: domain.TierFree},
			domain.MemberAdded{OrganizationID: ids[i], AgentID: agents[i], Role: domain.RoleAdmin})
		record(t, w.store, domain.AgentStream(agents[i]), ids[i], created(agents[i], ids[i]),
			domain.CredentialGenerated{AgentID: agents[i], CredentialID: credentials[i], Kind: domain.SecretCredential,
				Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("mac")}},
			domain.DIDCreated{AgentID: agents[i], DID: "did:web:a", KeyNumber: 1, PublicKey: json.RawMessage(`{}`), Custody: domain.CustodyServer},
			issued(agents[i], credentials[i]))
		link := delegated(ids[i], agents[i], newAgentID())
		exchanged := issued(link.DelegateeID, newCredentialID())
		exchanged.Delegation, exchanged.Subject = &link.DelegationID, &agents[i]
		last := record(t, w.store, domain.DelegationStream(link.DelegationID), ids[i], link, exchanged)
		partner := ledgertest.PartnerRegistered(ids[i])
		last = max(last, record(t, w.store, domain.PartnerStream(partner.PartnerID), ids[i], partner))
		waitAll(t, progress, last)
	}
	return ids, agents, credentials
}

func readModels() (tables []string) {
	for _, p := range readmodels.All() {
		tables = append(tables, p.Tables...)
	}
	return tables
}

func TestRowLevelSecurityShowsOnlyTheTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	progress := w.follow(t)
	ids, agents, credentials := w.tenants(t, progress)
	for i, id := range ids {
		rotated := domain.CredentialRotated{AgentID: agents[i], CredentialID: credentials[i], Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("mac")}}
		waitAll(t, progress, record(t, w.store, domain.AgentStream(agents[i]), id, rotated))
		ended := domain.OrganizationAccessRevoked{OrganizationID: id, Reason: "r", Credentials: true, Era: 1}
		waitAll(t, progress, record(t, w.store, domain.OrganizationStream(id), id, ended))
	}
	stranger := newOrganizationID()
	for _, table := range readModels() {
		count := func(setting string) (all, own int) {
			err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
				if setting != "unset" {
					if _, err := tx.Exec(t.Context(), `SELECT set_config('agentidp.organization', $1, true)`, setting); err != nil {
						return err
					}
				}
				return tx.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE organization_id = $1) FROM `+table, ids[0].UUID).Scan(&all, &own)
			})
			if err != nil {
				t.Fatalf("%s: %v", table, err)
			}
			return all, own
		}
		for _, setting := range []string{"unset", "", stranger.String()} {
			if all, _ := count(setting); all != 0 {
				t.Errorf("%s shows %d rows with the organization %q", table, all, setting)
			}
		}
		if all, own := count(ids[0].String()); all == 0 || all != own {
			t.Errorf("%s shows the tenant %d rows, of which %d are its own", table, all, own)
		}
	}
}

func TestServerCannotWriteReadModels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids, _, _ := w.tenants(t, w.follow(t))
	for _, table := range append(readModels(), "projection_checkpoints") {
		for _, sql := range []string{`DELETE FROM ` + table, `TRUNCATE ` + table, `INSERT INTO ` + table + ` SELECT * FROM ` + table} {
			err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), `SELECT set_config('agentidp.organization', $1, true)`, ids[0].String()); err != nil {
					return err
				}
				_, err := tx.Exec(t.Context(), sql)
				return err
			})
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || refused.Code != "42501" {
				t.Errorf("%s: %v, want insufficient_privilege", sql, err)
			}
		}
	}
}

func TestQueriesStayInTheTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids, agents, credentials := w.tenants(t, w.follow(t))
	ctx, q := t.Context(), w.queries
	own, all, nobody := readmodels.InOrganization(ids[0]), readmodels.AllOrganizations, readmodels.Tenant{}
	trail, err := q.AuditEvents(ctx, all, readmodels.AuditFilter{AgentID: agents[1]})
	if err != nil || len(trail.Items) == 0 {
		t.Fatalf("audit trail of the other: %v, %v", trail, err)
	}
	event := trail.Items[0].EventID

	for name, find := range map[string]func(readmodels.Tenant, int) error{
		"agent":      func(t readmodels.Tenant, i int) error { _, err := q.Agent(ctx, t, agents[i]); return err },
		"credential": func(t readmodels.Tenant, i int) error { _, err := q.Credential(ctx, t, credentials[i]); return err },
	} {
		for _, c := range []struct {
			who    string
			tenant readmodels.Tenant
			which  int
			want   error
		}{
			{"its tenant", own, 0, nil}, {"another tenant", own, 1, readmodels.ErrNotFound}, {"nobody", nobody, 0, readmodels.ErrNotFound},
			{"the operator", all, 0, nil}, {"the operator", all, 1, nil},
		} {
			if err := find(c.tenant, c.which); !errors.Is(err, c.want) {
				t.Errorf("%s found by %s: %v, want %v", name, c.who, err, c.want)
			}
		}
	}
	for name, count := range map[string]func(readmodels.Tenant) (int, error){
		"agents": func(t readmodels.Tenant) (int, error) {
			l, err := q.Agents(ctx, t, readmodels.AgentFilter{})
			return l.Total + len(l.Items), err
		},
		"organizations": func(t readmodels.Tenant) (int, error) {
			l, err := q.Organizations(ctx, t, readmodels.Page{})
			return l.Total + len(l.Items), err
		},
		"members of the other": func(t readmodels.Tenant) (int, error) {
			l, err := q.Members(ctx, t, ids[1], readmodels.Page{})
			return (l.Total + len(l.Items)) * 2, err
		},
		"delegations": func(t readmodels.Tenant) (int, error) {
			l, err := q.Delegations(ctx, t, readmodels.DelegationFilter{})
			return l.Total + len(l.Items), err
		},
		"partners": func(t readmodels.Tenant) (int, error) {
			l, err := q.Partners(ctx, t, readmodels.Page{})
			return l.Total + len(l.Items), err
		},
		"delegations of the other": func(t readmodels.Tenant) (int, error) {
			l, err := q.Delegations(ctx, t, readmodels.DelegationFilter{AgentID: agents[1], Role: readmodels.AsDelegator})
			return (l.Total + len(l.Items)) * 2, err
		},
		"credentials of the other": func(t readmodels.Tenant) (int, error) {
			l, err := q.Credentials(ctx, t, readmodels.CredentialFilter{AgentID: agents[1]})
			return (l.Total + len(l.Items)) * 2, err
		},
	} {
		for _, c := range []struct {
			who    string
			tenant readmodels.Tenant
			want   int
		}{{"a tenant", own, 2}, {"the operator", all, 4}, {"nobody", nobody, 0}} {
			want := c.want
			if c.who == "a tenant" && len(name) > 13 {
				want = 0 // of the other
			}
			if got, err := count(c.tenant); err != nil || got != want {
				t.Errorf("%s listed by %s: %d, %v, want %d", name, c.who, got, err, want)
			}
		}
	}
	if _, err := q.AuditEvent(ctx, own, event); !errors.Is(err, readmodels.ErrNotFound) {
		t.Errorf("audit event of another tenant: %v, want ErrNotFound", err)
	}
	if got, err := q.AuditEvent(ctx, readmodels.InOrganization(ids[1]), event); err != nil || got.EventID != event {
		t.Errorf("audit event of the tenant: %v, %v", got, err)
	}
	if n, err := q.TokensIssued(ctx, ids[0], time.Now().Add(-time.Hour), time.Now().Add(time.Hour)); err != nil || n != 2 {
		t.Errorf("tokens issued: %d, %v, want 2", n, err)
	}
}
