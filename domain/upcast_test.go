package domain

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// greeted is an event that has seen three schemas:
// 1 {"name"}, 2 {"name","mood"}, 3 {"name","moods"}.
type greeted struct {
	Name  string   `json:"name"`
	Moods []string `json:"moods"`
}

func (greeted) EventType() Type { return "robot.greeted" }

func greetedV1ToV2(data json.RawMessage) (json.RawMessage, error) {
	var v1 struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &v1); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"name": v1.Name, "mood": "unknown"})
}

func greetedV2ToV3(data json.RawMessage) (json.RawMessage, error) {
	var v2 struct{ Name, Mood string }
	if err := json.Unmarshal(data, &v2); err != nil {
		return nil, err
	}
	return json.Marshal(greeted{Name: v2.Name, Moods: []string{v2.Mood}})
}

func greetings(steps map[int]upcaster) map[Type]*kind {
	return map[Type]*kind{"robot.greeted": {schema: 3, decode: decodeAs[greeted], upcasters: steps}}
}

func allSteps() map[int]upcaster { return map[int]upcaster{1: greetedV1ToV2, 2: greetedV2ToV3} }

func TestOldSchemasAreRaisedStepByStep(t *testing.T) {
	var taken []int
	steps := allSteps()
	for from, step := range maps.Clone(steps) {
		steps[from] = func(data json.RawMessage) (json.RawMessage, error) {
			taken = append(taken, from)
			return step(data)
		}
	}
	for _, test := range []struct {
		schema int
		data   string
		mood   string
		steps  []int
	}{
		{1, `{"name":"R2"}`, "unknown", []int{1, 2}},
		{2, `{"name":"R2","mood":"merry"}`, "merry", []int{2}},
		{3, `{"name":"R2","moods":["calm"]}`, "calm", nil},
	} {
		taken = nil
		event, err := decode(greetings(steps), "robot.greeted", test.schema, json.RawMessage(test.data))
		if err != nil {
			t.Fatalf("schema %d: %v", test.schema, err)
		}
		got := event.(greeted)
		if got.Name != "R2" || len(got.Moods) != 1 || got.Moods[0] != test.mood {
			t.Errorf("schema %d: %+v, want the mood %s", test.schema, got, test.mood)
		}
		if !slices.Equal(taken, test.steps) {
			t.Errorf("schema %d went through the steps %v, want %v", test.schema, taken, test.steps)
		}
	}
}

func TestMissingStepStopsTheStart(t *testing.T) {
	if err := checkCatalogue(greetings(allSteps())); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
	for missing, want := range map[int]string{1: "from schema 1 to 2", 2: "from schema 2 to 3"} {
		steps := allSteps()
		delete(steps, missing)
		err := checkCatalogue(greetings(steps))
		if err == nil || !strings.Contains(err.Error(), "robot.greeted") || !strings.Contains(err.Error(), want) {
			t.Errorf("without step %d: %v, want an error with %q", missing, err, want)
		}
		_, err = decode(greetings(steps), "robot.greeted", missing, json.RawMessage(`{}`))
		var unknown *UnknownEventError
		if !errors.As(err, &unknown) || unknown.Schema != missing {
			t.Errorf("decode without step %d: %v, want an UnknownEventError", missing, err)
		}
	}
}

func TestFailingUpcasterNamesTypeAndSchema(t *testing.T) {
	broken := errors.New("no such mood")
	steps := allSteps()
	steps[2] = func(json.RawMessage) (json.RawMessage, error) { return nil, broken }
	_, err := decode(greetings(steps), "robot.greeted", 1, json.RawMessage(`{"name":"R2"}`))
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "robot.greeted") || !strings.Contains(err.Error(), "schema 2") {
		t.Errorf("decode: %v, want the cause, the type and the schema", err)
	}
}

func TestRaisedDataIsHeldToTodaysShape(t *testing.T) {
	steps := allSteps()
	steps[2] = func(data json.RawMessage) (json.RawMessage, error) { return data, nil } // forgets to drop mood
	_, err := decode(greetings(steps), "robot.greeted", 1, json.RawMessage(`{"name":"R2"}`))
	if err == nil || !strings.Contains(err.Error(), "robot.greeted") {
		t.Errorf("decode: %v, want an error about the unknown field", err)
	}
}

func TestEveryUpcasterLeadsSomewhere(t *testing.T) {
	if err := CheckCatalogue(); err != nil {
		t.Error(err)
	}
	for eventType, k := range catalogue {
		for from := range k.upcasters {
			if from < 1 || from >= k.schema {
				t.Errorf("%s: the upcaster from schema %d leads nowhere", eventType, from)
			}
		}
	}
}
