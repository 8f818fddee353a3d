package domain

import (
	"encoding/json"
	"testing"
	"time"
)

const (
	spacing = 5 * time.Minute
	lead    = 24 * time.Hour
)

func madeKey(kid string) SigningKeyCreated {
	return SigningKeyCreated{KeyID: kid, Algorithm: "ES256", PublicKey: json.RawMessage(`{}`)}
}

func activeKey(kid string) SigningKeyActivated {
	return SigningKeyActivated{KeyID: kid, Algorithm: "ES256"}
}

func retiredKey(kid string) SigningKeyRetired {
	return SigningKeyRetired{KeyID: kid, Algorithm: "ES256"}
}

func endedKey(kid string) SigningKeyRetired {
	return SigningKeyRetired{KeyID: kid, Algorithm: "ES256", AtOnce: true}
}

func goneKey(kid string) SigningKeyRemoved { return SigningKeyRemoved{KeyID: kid, Algorithm: "ES256"} }

func givenKeys(t testing.TB, events ...Event) story[SigningKeys, SigningKeyCommand] {
	return given[SigningKeys, SigningKeyCommand](t, events...)
}

func publish(kid string, at time.Time) PublishSigningKey {
	return PublishSigningKey{Key: madeKey(kid), At: at, Spacing: spacing}
}

func TestSigningKeyScenarios(t *testing.T) {
	t.Parallel()
	verifies := madeKey("v")
	verifies.VerifyOnly = true
	later := noon.Add(spacing)
	served := noon.Add(time.Hour)
	first := []Event{madeKey("a"), activeKey("a")}
	waiting := append(first[:2:2], madeKey("b"))

	givenKeys(t).when(publish("a", noon)).then(madeKey("a"), activeKey("a"))
	givenKeys(t, first...).when(publish("b", later)).then(madeKey("b"))
	givenKeys(t, first...).when(publish("b", noon)).thenRefused(CodeConflict, "")    // too soon
	givenKeys(t, waiting...).when(publish("c", later)).thenRefused(CodeConflict, "") // b waits
	givenKeys(t, first...).when(publish("a", later)).thenRefused(CodeConflict, "")
	givenKeys(t, append(first[:2:2], endedKey("a"), goneKey("a"))...).when(publish("a", later)).thenRefused(CodeConflict, "") // it stays gone
	givenKeys(t, waiting...).when(PublishSigningKey{Key: verifies, At: later, Spacing: spacing}).then(verifies)
	givenKeys(t, verifies).when(publish("a", noon)).then(madeKey("a"), activeKey("a")) // the first that signs
	now := publish("c", noon)
	now.Now, now.Replaces = true, "a"
	givenKeys(t, first...).when(now).then(madeKey("c"), retiredKey("a"), activeKey("c"))
	now.Replaces = "z"
	givenKeys(t, first...).when(now).thenRefused(CodeConflict, "") // of two at once, the second

	activate := ActivateSigningKey{KeyID: "b", ServedSince: served, Lead: lead, At: served.Add(lead)}
	since := activeKey("b")
	since.ServedSince = &served
	givenKeys(t, waiting...).when(activate).then(retiredKey("a"), since)
	activate.At = activate.At.Add(-time.Second)
	givenKeys(t, waiting...).when(activate).thenRefused(CodeConflict, "")
	givenKeys(t, waiting...).when(ActivateSigningKey{KeyID: "b", Lead: lead, At: served.Add(lead)}).thenRefused(CodeConflict, "") // not served by all
	givenKeys(t, waiting...).when(ActivateSigningKey{KeyID: "b", Now: true, At: noon}).then(retiredKey("a"), activeKey("b"))
	givenKeys(t, first...).when(ActivateSigningKey{KeyID: "a", Now: true}).thenNothing()
	givenKeys(t, verifies).when(ActivateSigningKey{KeyID: "v", Now: true}).thenRefused(CodeConflict, "")
	givenKeys(t, append(waiting[:3:3], retiredKey("b"))...).when(ActivateSigningKey{KeyID: "b", Now: true}).thenRefused(CodeConflict, "")
	givenKeys(t).when(ActivateSigningKey{KeyID: "b", Now: true}).thenRefused(CodeNotFound, "")

	givenKeys(t, first...).when(RetireSigningKey{KeyID: "a", Needed: true}).thenRefused(CodeConflict, "")
	givenKeys(t, first...).when(RetireSigningKey{KeyID: "a"}).then(retiredKey("a"))
	givenKeys(t, waiting...).when(RetireSigningKey{KeyID: "b"}).then(retiredKey("b"))
	givenKeys(t, append(first[:2:2], retiredKey("a"))...).when(RetireSigningKey{KeyID: "a"}).thenNothing()
	givenKeys(t, first...).when(RetireSigningKey{KeyID: "z", AtOnce: true}).thenRefused(CodeNotFound, "")
	givenKeys(t, first...).when(RetireSigningKey{KeyID: "a", AtOnce: true, Needed: true, Successor: madeKey("s")}).
		then(endedKey("a"), goneKey("a"), madeKey("s"), activeKey("s"))
	givenKeys(t, waiting...).when(RetireSigningKey{KeyID: "a", AtOnce: true}).then(endedKey("a"), goneKey("a"), activeKey("b"))
	givenKeys(t, waiting...).when(RetireSigningKey{KeyID: "b", AtOnce: true}).then(endedKey("b"), goneKey("b"))
	givenKeys(t, append(waiting[:3:3], retiredKey("a"), activeKey("b"))...).when(RetireSigningKey{KeyID: "a", AtOnce: true}).then(endedKey("a"), goneKey("a"))
	givenKeys(t, append(first[:2:2], endedKey("a"), goneKey("a"))...).when(RetireSigningKey{KeyID: "a", AtOnce: true}).thenRefused(CodeNotFound, "")

	retired := append(waiting[:3:3], retiredKey("a")) // a second before noon
	over := noon.Add(-time.Second + 25*time.Hour)
	givenKeys(t, retired...).when(RemoveSigningKey{KeyID: "a", At: over}).then(goneKey("a"))
	givenKeys(t, retired...).when(RemoveSigningKey{KeyID: "a", At: over.Add(-time.Second)}).thenRefused(CodeConflict, "")
	givenKeys(t, retired...).when(RemoveSigningKey{KeyID: "b", At: over}).thenRefused(CodeConflict, "")
	givenKeys(t, retired...).when(RemoveSigningKey{KeyID: "b", At: noon, Lost: true}).then(goneKey("b"))
	givenKeys(t, append(retired[:4:4], goneKey("a"))...).when(RemoveSigningKey{KeyID: "a", At: over}).thenNothing()
}

// Keys of versions that recorded no states are what the table says, until the ledger
// says otherwise.
func TestKeysThatAreNotOnRecordAreWhatTheTableSays(t *testing.T) {
	t.Parallel()
	row := func(kid string, signs bool, hours int) StoredSigningKey {
		return StoredSigningKey{KeyID: kid, Algorithm: "ES256", CreatedAt: noon.Add(time.Duration(hours) * time.Hour), Signs: signs}
	}
	states := func(keys SigningKeys) map[string]SigningKeyState {
		is := map[string]SigningKeyState{}
		for _, key := range keys.Keys {
			is[key.KeyID] = key.State
		}
		return is
	}
	mustBe := func(keys SigningKeys, kid string, want SigningKeyState) {
		t.Helper()
		if got := states(keys)[kid]; got != want {
			t.Errorf("%s is %q, want %q: %+v", kid, got, want, keys)
		}
	}
	stored := []StoredSigningKey{row("new", true, 2), row("old", true, 1), row("halfway", false, 3)}
	keys := SigningKeys{}.With(stored)
	mustBe(keys, "new", KeyCurrent)
	mustBe(keys, "old", KeyRetired)
	mustBe(keys, "halfway", "") // stored, and never put on record
	if current, _ := keys.Current("ES256"); !current.PublishedAt.Equal(noon.Add(2 * time.Hour)) {
		t.Errorf("the age of a key is not counted from when it was made: %+v", current)
	}
	recorded := SigningKeys{}
	for _, fact := range (SigningKeys{}).Adopt(stored) {
		recorded = recorded.Evolve(fact, noon.Add(50*24*time.Hour))
	}
	if facts := recorded.Adopt(stored); len(facts) != 0 {
		t.Errorf("keys on record are put on record again: %+v", facts)
	}
	if current, _ := recorded.Current("ES256"); !current.PublishedAt.Equal(noon.Add(2 * time.Hour)) {
		t.Errorf("a key is younger once it is on record: %+v", current)
	}
	// A server of such a version makes one more.
	keys = recorded.With(append(stored, row("theirs", true, 4)))
	mustBe(keys, "theirs", KeyCurrent)
	mustBe(keys, "new", KeyRetired)
}
