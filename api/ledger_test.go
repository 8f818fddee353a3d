package api_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	cosignature "github.com/transparency-dev/formats/note"
	tlogproof "github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// follower is somebody with foreign tools and no token: he knows a key, and
// what the server publishes below /ledger.
type follower struct {
	tb   testing.TB
	base string
	key  note.Verifier
}

func (s *scene) follower(tb testing.TB) follower {
	tb.Helper()
	key, err := note.NewVerifier(s.must(tb, get("", "/api/v1/ledger/checkpoint"), 200, "").text("verifierKey"))
	if err != nil {
		tb.Fatal(err)
	}
	return follower{tb, s.base + "/ledger/", key}
}

func (f follower) fetch(path string) []byte {
	f.tb.Helper()
	response, err := http.Get(f.base + path)
	if err != nil {
		f.tb.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		f.tb.Fatalf("GET /ledger/%s: %s %s (%v)", path, response.Status, body, err)
	}
	return body
}

// tree is what a checkpoint of ours says, if our key signed it.
func (f follower) tree(signed string) tlog.Tree {
	f.tb.Helper()
	opened, err := note.Open([]byte(signed), note.VerifierList(f.key))
	if err != nil {
		f.tb.Fatalf("%q: %v", signed, err)
	}
	lines := strings.Split(opened.Text, "\n")
	size, sizeErr := strconv.ParseInt(lines[1], 10, 64)
	root, rootErr := tlog.ParseHash(lines[2])
	if lines[0] != f.key.Name() || sizeErr != nil || rootErr != nil {
		f.tb.Fatalf("the checkpoint says %q", opened.Text)
	}
	return tlog.Tree{N: size, Hash: root}
}

// Height, ReadTiles and SaveTiles are what tlog asks of whoever fetches tiles.
func (follower) Height() int                     { return 8 }
func (follower) SaveTiles([]tlog.Tile, [][]byte) {}
func (f follower) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		data = append(data, f.fetch("tile/"+strings.TrimPrefix(tile.Path(), "tile/8/")))
	}
	return data, nil
}

func (f follower) entries(size int64) (entries [][]byte) {
	for n := int64(0); n*256 < size; n++ {
		tile := tlog.Tile{H: 8, L: -1, N: n, W: int(min(256, size-n*256))}
		bundle := f.fetch("tile/entries/" + strings.TrimPrefix(tile.Path(), "tile/8/data/"))
		for ; len(bundle) > 0; bundle = bundle[2+sha256.Size:] {
			if bundle[0] != 0 || bundle[1] != sha256.Size {
				f.tb.Fatalf("an entry of another length than a hash: %x", bundle[:2])
			}
			entries = append(entries, bundle[2:2+sha256.Size])
		}
	}
	return entries
}

func TestForeignToolsFollowTheLedgerByHTTPAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	const tokens = 300
	parallel(t, tokens, func(int) error {
		_, err := s.want(tokenRequest(n.agent, ""), 200, "")
		return err
	})
	f := s.follower(t)
	event := s.must(t, get(n.token, "/api/v1/audit?limit=1"), 200, "").list("data")[0]
	id, _ := event["eventId"].(string)
	s.must(t, get(n.token, "/api/v1/audit/"+id+"/proof?log=ledger"), 200, "") // has a checkpoint signed that covers it
	tree := f.tree(string(f.fetch("checkpoint")))
	if tree.N < tokens {
		t.Fatalf("the checkpoint is of %d entries, want more than %d", tree.N, tokens)
	}
	entries := f.entries(tree.N)
	if int64(len(entries)) != tree.N {
		t.Fatalf("%d entries in bundles, the tree has %d", len(entries), tree.N)
	}
	reader := tlog.TileHashReader(tree, f) // verifies every tile against the root
	var indexes []int64
	for i := range entries {
		indexes = append(indexes, tlog.StoredHashIndex(0, int64(i)))
	}
	leaves, err := reader.ReadHashes(indexes)
	if err != nil {
		t.Fatal(err)
	}
	for i, entry := range entries {
		if leaves[i] != tlog.RecordHash(entry) {
			t.Fatalf("leaf %d is not that of entry %x", i, entry)
		}
	}
	hash, _ := event["hash"].(string)
	if !slices.ContainsFunc(entries, func(e []byte) bool { return hex.EncodeToString(e) == hash }) {
		t.Errorf("event %s is not among the entries", hash)
	}
}

func TestEveryEventOfATenantIsProven(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	s.tenant(t) // another, in between in the ledger
	s.token(t, n.agent, "")
	for _, event := range s.must(t, get(n.token, "/api/v1/audit?limit=100"), 200, "").list("data") {
		id, _ := event["eventId"].(string)
		for _, log := range []string{"organization", "ledger"} {
			path := "/api/v1/audit/" + id + "/proof?log=" + log
			proof := s.must(t, get(n.token, path), 200, "")
			record, err := base64.StdEncoding.DecodeString(proof.text("record"))
			if err != nil {
				t.Fatal(err)
			}
			entry := sha256.Sum256(record)
			if hex.EncodeToString(entry[:]) != event["hash"] || !strings.Contains(string(record), id) {
				t.Fatalf("the record of %s hashes to %x, want %v: %s", id, entry, event["hash"], record)
			}
			checkpoint, _ := proof.object()["checkpoint"].(map[string]any)
			key, _ := checkpoint["verifierKey"].(string)
			verifier, err := note.NewVerifier(key)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := checkpoint["checkpoint"].(string)
			tree := follower{tb: t, key: verifier}.tree(text)
			if err := tlog.CheckRecord(hashes(t, proof), tree.N, tree.Hash, int64(proof.number("index")), tlog.RecordHash(entry[:])); err != nil {
				t.Errorf("%s of %s: %v", log, event["action"], err)
			}
			if want := map[string]string{"organization": "/org/" + n.organization, "ledger": "/ledger"}[log]; !strings.HasSuffix(verifier.Name(), want) {
				t.Errorf("the proof is of the log %s, want %s", verifier.Name(), want)
			}
			checkText(t, s.must(t, get(n.token, path+"&format=tlog-proof"), 200, ""), record, verifier)
		}
	}
}

func hashes(t *testing.T, a answer) (proof []tlog.Hash) {
	t.Helper()
	list, _ := a.object()["proof"].([]any)
	for _, item := range list {
		text, _ := item.(string)
		hash, err := tlog.ParseHash(text)
		if err != nil {
			t.Fatal(err)
		}
		proof = append(proof, hash)
	}
	return proof
}

// checkText checks a C2SP tlog-proof with somebody else's parser.
func checkText(t *testing.T, a answer, record []byte, verifier note.Verifier) {
	t.Helper()
	var proof tlogproof.TLogProof
	if err := proof.Unmarshal(a.body); err != nil {
		t.Fatal(err)
	}
	if string(proof.ExtraData) != string(record) {
		t.Errorf("the extra data is %q, want the record", proof.ExtraData)
	}
	tree := follower{tb: t, key: verifier}.tree(string(proof.Checkpoint))
	var path []tlog.Hash
	for _, hash := range proof.Hashes {
		path = append(path, hash)
	}
	entry := sha256.Sum256(record)
	if err := tlog.CheckRecord(path, tree.N, tree.Hash, int64(proof.Index), tlog.RecordHash(entry[:])); err != nil {
		t.Error(err)
	}
}

// Of every two checkpoints that were signed while the ledger grew, the later
// extends the earlier.
func TestCheckpointsUnderLoadAreConsistent(t *testing.T) {
	t.Parallel()
	s := newScene(t, "CHECKPOINT_INTERVAL_MS=1000")
	second := s.another(t)
	n := s.tenant(t)
	f := s.follower(t)
	trees := map[int64]tlog.Hash{}
	const rounds = 12
	for range rounds {
		parallel(t, 16, func(i int) error {
			_, err := []*server{s.server, second}[i%2].want(tokenRequest(n.agent, ""), 200, "")
			return err
		})
		event := s.must(t, get(n.token, "/api/v1/audit?limit=1"), 200, "").list("data")[0]
		proof := second.must(t, get(n.token, fmt.Sprintf("/api/v1/audit/%s/proof?log=ledger", event["eventId"])), 200, "")
		checkpoint, _ := proof.object()["checkpoint"].(map[string]any)
		text, _ := checkpoint["checkpoint"].(string)
		tree := f.tree(text)
		trees[tree.N] = tree.Hash
	}
	if len(trees) < rounds/2 {
		t.Fatalf("only %d checkpoints in %d rounds", len(trees), rounds)
	}
	for from, fromRoot := range trees {
		for to, toRoot := range trees {
			if from > to {
				continue
			}
			proof := s.must(t, get("", fmt.Sprintf("/api/v1/ledger/consistency?from=%d&to=%d", from, to)), 200, "")
			if err := tlog.CheckTree(hashes(t, proof), to, toRoot, from, fromRoot); err != nil {
				t.Errorf("from %d to %d: %v", from, to, err)
			}
		}
	}
}

func TestAnOrganizationsLogHasItsOwnEventsAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n, other := s.tenant(t), s.tenant(t)
	before := s.must(t, get(n.token, "/api/v1/organizations/"+n.organization+"/checkpoint"), 200, "")
	s.token(t, other.agent, "")
	after := s.must(t, get(n.token, "/api/v1/organizations/"+n.organization+"/checkpoint"), 200, "")
	if before.text("checkpoint") != after.text("checkpoint") {
		t.Errorf("another tenant's token changed our log:\n%s%s", before.text("checkpoint"), after.text("checkpoint"))
	}
	s.token(t, n.agent, "")
	grown := s.must(t, get(n.token, "/api/v1/organizations/"+n.organization+"/checkpoint"), 200, "")
	if grown.number("treeSize") != before.number("treeSize")+1 {
		t.Errorf("our own token made %v entries of %v", grown.number("treeSize"), before.number("treeSize"))
	}
	from, to := int64(before.number("treeSize")), int64(grown.number("treeSize"))
	proof := s.must(t, get(n.token, fmt.Sprintf("/api/v1/organizations/%s/consistency?from=%d", n.organization, from)), 200, "")
	if err := tlog.CheckTree(hashes(t, proof), to, mustHash(t, grown), from, mustHash(t, before)); err != nil {
		t.Error(err)
	}
}

func mustHash(t *testing.T, checkpoint answer) tlog.Hash {
	t.Helper()
	hash, err := tlog.ParseHash(checkpoint.text("rootHash"))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestWhatTheLogDoesNotHave(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	size := int64(s.must(t, get("", "/api/v1/ledger/checkpoint"), 200, "").number("treeSize"))
	for path, want := range map[string]int{
		fmt.Sprintf("/api/v1/ledger/consistency?from=1&to=%d", size+1): 400,
		"/api/v1/ledger/consistency?from=3&to=2":                       400,
		"/api/v1/ledger/consistency?from=0":                            400,
		"/api/v1/ledger/consistency":                                   400,
		"/ledger/tile/0/000":                                           404, // not full yet
		"/ledger/tile/0/000.p/255":                                     404,
		"/ledger/tile/0/001.p/1":                                       404,
		"/ledger/tile/1/000.p/1":                                       404,
		"/ledger/tile/0/0":                                             404, // not how numbers are written
		"/ledger/tile/64/000":                                          400,
		"/ledger/tile/entries/000.p/1":                                 200,
		"/ledger/tile/0/000.p/1":                                       200,
		"/api/v1/audit/" + newEventID() + "/proof":                     401,
	} {
		if _, err := s.want(get("", path), want, ""); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func newEventID() string { return "0192f3a0-0000-7000-8000-0000000000ff" }

func TestWitnessesCosignByHTTP(t *testing.T) {
	t.Parallel()
	secret, public, err := note.GenerateKey(rand.Reader, "witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, "WITNESS_KEYS="+public)
	checkpoint := s.must(t, get("", "/api/v1/ledger/checkpoint"), 200, "")
	signer, err := cosignature.NewSignerForCosignatureV1(secret)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(checkpoint.text("checkpoint"), "\n\n")
	cosigned, err := note.Sign(&note.Note{Text: text + "\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(cosigned), "\n\n")
	path, body := "/api/v1/ledger/checkpoint/cosignatures", map[string]any{"treeSize": checkpoint.number("treeSize"), "cosignature": line}
	s.must(t, post("", path, body), 200, "")
	if served := s.must(t, get("", "/ledger/checkpoint"), 200, ""); !strings.HasSuffix(string(served.body), line) {
		t.Errorf("the served checkpoint is %s, want it to end with %s", served.body, line)
	}
	body["cosignature"] = "— witness.example/w2" + line[len("— witness.example/w1"):]
	s.must(t, post("", path, body), 400, "VALIDATION_ERROR")
	body["treeSize"] = 999999
	s.must(t, post("", path, body), 404, "NOT_FOUND")
}
