#!/usr/bin/env bash
# Looks for known vulnerabilities in the module of the working directory: govulncheck against the Go vulnerability database.
# Both come from the module proxy in pinned versions, so that a result can be repeated; raise them to learn of newer reports.
set -euo pipefail
vuln=v1.9.0
vulndb=v0.0.0-20261105234957-e22db6528018

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$(cd "$work" && go mod download -json "golang.org/x/vulndb@$vulndb" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
test -n "$source" || { echo >&2 "the vulnerability database $vulndb cannot be downloaded"; exit 1; }
(cd "$source" && go run ./cmd/indexdb -vulns data/osv -out "$work/db")
echo "database $vulndb, $(ls "$work/db/ID" | wc -l) files"
go run "golang.org/x/vuln/cmd/govulncheck@$vuln" -db "file://$work/db" "${@:-./...}"
