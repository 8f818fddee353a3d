// Package deploy_test holds what is deployed to what the server does.
package deploy_test

import (
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/server/servertest"
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
	_, elsewhere := servertest.ESDB(t, 1) // a server with every part there is
	w := servertest.NewWorld(t, elsewhere...)
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

// TestMetricsSurviveAScrape holds what a server serves to what Prometheus does
// with it: a scrape gives every series the labels job and instance, and what had
// them before has them under another name, which no rule asks for.
func TestMetricsSurviveAScrape(t *testing.T) {
	w := servertest.NewWorld(t)
	base := w.Serve(t)
	ask(t, base, w.Operator.ClientID, w.Operator.ClientSecret)
	text := scrape(t, base)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]bool{}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = true
				if strings.HasPrefix(name, "agentidp_") && isTheScrapes(label.GetName()) {
					t.Errorf("%s has the label %s, which is the scrape's", name, label.GetName())
				}
			}
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "agentidp_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
	if err != nil || len(families) == 0 {
		t.Errorf("%d metrics (%v)", len(families), err)
	}
	used := regexp.MustCompile(`by \(([^)]*)\)|([a-z_]+)\s*(?:=|!=|=~|!~)\s*"|\$labels\.([a-z_]+)`)
	for _, group := range rules(t).Groups {
		for _, rule := range group.Rules {
			for _, found := range used.FindAllStringSubmatch(rule.Expr+rule.Annotations["summary"]+rule.Annotations["description"], -1) {
				for name := range strings.SplitSeq(strings.Join(found[1:], ""), ",") {
					if name = strings.TrimSpace(name); isTheScrapes(name) || !labels[name] {
						t.Errorf("%s goes by the label %s, which no metric has", rule.Alert, name)
					}
				}
			}
		}
	}
}

func isTheScrapes(label string) bool {
	return label == "job" || label == "instance" || strings.HasPrefix(label, "exported_")
}

// TestMetricsAreDocumented compares docs/metrics.md with the names in the code.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(agentidp_[a-z_]+)` ").FindAllStringSubmatch(string(text), -1) {
		if documented[row[1]] {
			t.Errorf("%s is documented twice", row[1])
		}
		documented[row[1]] = false
	}
	named := regexp.MustCompile(`(?:Name:\s*|NewDesc\()"(agentidp_[a-z_]+)"(\s*\+)?`)
	err = fs.WalkDir(os.DirFS(".."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile("../" + path)
		for _, found := range named.FindAllSubmatch(source, -1) {
			name := string(found[1])
			if _, is := documented[name]; is && len(found[2]) == 0 {
				documented[name] = true
				continue
			}
			if len(found[2]) == 0 {
				t.Errorf("%s: %s is not in docs/metrics.md", path, name)
			}
			for whole := range documented { // the name is put together
				if strings.HasPrefix(whole, name) {
					documented[whole] = true
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, exists := range documented {
		if !exists {
			t.Errorf("docs/metrics.md has %s, which nothing exports", name)
		}
	}
	w := servertest.NewWorld(t)
	base := w.Serve(t)
	for name := range metrics(t, base) {
		family := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if _, is := documented[family]; !is && strings.HasPrefix(name, "agentidp_") {
			t.Errorf("%s is exported, and not in docs/metrics.md", name)
		}
	}
}

// alerts.test.yaml is for promtool, which `make test-alerts` runs; that it forgets no
// alert, and uses the labels of a scrape, is held here.
func TestEveryAlertHasAUnitTest(t *testing.T) {
	text, err := os.ReadFile("alerts.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Name        string
			InputSeries []struct{ Series string } `yaml:"input_series"`
			Exprs       []struct {
				Expr    string
				Samples []struct{ Labels string } `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	fires, rests := map[string]bool{}, map[string]bool{}
	named := regexp.MustCompile(`alertname="(\w+)"`)
	for _, test := range file.Tests {
		for _, input := range test.InputSeries {
			if !strings.Contains(input.Series, `job="identity"`) || !strings.Contains(input.Series, `instance="`) {
				t.Errorf("%s: %s lacks the labels that a scrape gives", test.Name, input.Series)
			}
		}
		for _, e := range test.Exprs {
			if name := named.FindStringSubmatch(e.Expr); name != nil && len(e.Samples) > 0 {
				fires[name[1]] = true
			} else if name != nil {
				rests[name[1]] = true
			}
		}
	}
	for _, group := range rules(t).Groups {
		for _, rule := range group.Rules {
			if !fires[rule.Alert] || !rests[rule.Alert] {
				t.Errorf("alerts.test.yaml shows %s come: %t, stay away: %t; want both", rule.Alert, fires[rule.Alert], rests[rule.Alert])
			}
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

func scrape(t *testing.T, base string) string {
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
	return string(body)
}

// metrics are the names of the samples that a server exports.
func metrics(t *testing.T, base string) map[string]bool {
	t.Helper()
	exported := map[string]bool{}
	for line := range strings.Lines(scrape(t, base)) {
		name, _, _ := strings.Cut(line, "{")
		name, _, _ = strings.Cut(name, " ")
		exported[name] = true
	}
	return exported
}
