package health

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestThePortOfMetricsServesNothingElse(t *testing.T) {
	handler := MetricsHandler(prometheus.NewRegistry())
	for request, want := range map[string]int{
		"GET /metrics": 200, "HEAD /metrics": 200, "POST /metrics": 405,
		"GET /": 404, "GET /health": 404, "GET /metrics/x": 404, "GET /debug/pprof/": 404,
	} {
		method, path, _ := strings.Cut(request, " ")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
		if recorder.Code != want {
			t.Errorf("%s: %d, want %d", request, recorder.Code, want)
		}
	}
}
