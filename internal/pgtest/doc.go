// Package pgtest gives every test a PostgreSQL database and a Redis database of its own, so that tests run in parallel
// against the real services and see nothing of each other.
//
//	db := pgtest.New(t, pgtest.Template{Key: migrations.Version, Prepare: migrations.Up})
//	pool := pgtest.Pool(t, db.ServerURL)
//
// The servers are those of AGENTIDP_TEST_DATABASE_URL (which must be a superuser's) and AGENTIDP_TEST_REDIS_URL, which
// the command devservices/cmd/withservices sets for a whole `go test ./...`. Where they are not set, the test process starts
// private ones at the first use, which end with it; [Main] also removes their data at once instead of at the next run.
package pgtest
