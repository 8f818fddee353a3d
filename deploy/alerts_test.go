// Package deploy_test holds what is deployed to what the server does.
package deploy_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/cmd/agentidp/app/apptest"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			For         string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func rules(t *testing.T) ruleFile {
	t.Helper()
	file, err := os.Open("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	var parsed ruleFile
	if err := decoder.Decode(&parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// A rule on a metric that nobody exports is an alert that never comes.
func TestEveryMetricOfTheAlertsIsExported(t *testing.T) {
	_, elsewhere := apptest.ESDB(t, 1) // a server with every part there is
	w := apptest.NewWorld(t, elsewhere...)
	base := w.Serve(t)
	refused := ask(t, base, w.Operator.ClientID, "wrong")
	if got := ask(t, base, w.Operator.ClientID, w.Operator.ClientSecret); refused != http.StatusUnauthorized || got != http.StatusOK {
		t.Fatalf("the token endpoint answered %d and %d", refused, got)
	}
	missing := map[string]string{} // metric -> alert
	count := 0
	for _, group := range rules(t).Groups {
		for _, rule := range group.Rules {
			for _, metric := range regexp.MustCompile(`agentidp_[a-z_]+`).FindAllString(rule.Expr, -1) {
				missing[metric] = rule.Alert
				count++
			}
		}
	}
	if count == 0 {
		t.Fatal("no rule names a metric")
	}
	deadline := time.Now().Add(30 * time.Second)
	for len(missing) > 0 { // jobs tell of themselves when they have run
		exported := metrics(t, base)
		for metric := range missing {
			if exported[metric] {
				delete(missing, metric)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("metrics that no server exports, and the alerts that wait for them: %v", missing)
		}
	}
}

func TestEveryAlertSaysWhatItIsAbout(t *testing.T) {
	names := map[string]bool{}
	for _, group := range rules(t).Groups {
		for _, rule := range group.Rules {
			severity := rule.Labels["severity"]
			if severity != "critical" && severity != "warning" && severity != "info" {
				t.Errorf("%s: severity %q", rule.Alert, severity)
			}
			if rule.Alert == "" || rule.Expr == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%q is incomplete: %+v", rule.Alert, rule)
			}
			if names[rule.Alert] {
				t.Errorf("there are two alerts %s", rule.Alert)
			}
			names[rule.Alert] = true
		}
	}
	guide, err := os.ReadFile("../docs/guides/compliance.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range names {
		if !strings.Contains(string(guide), "`"+name+"`") {
			t.Errorf("docs/guides/compliance.md does not say what to do about %s", name)
		}
	}
}

// ask asks for a token.
func ask(t *testing.T, base, client, secret string) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/oauth2/token",
		strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client, secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func metrics(t *testing.T, base string) map[string]bool {
	t.Helper()
	response, err := http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]bool{}
	for line := range strings.Lines(string(body)) {
		name, _, _ := strings.Cut(line, "{")
		name, _, _ = strings.Cut(name, " ")
		exported[name] = true
	}
	return exported
}
