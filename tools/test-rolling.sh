#!/usr/bin/env bash
# Servers of an earlier commit and of this one on one database, as during a rolling
# upgrade: the tests of several nodes, where every second server is of the earlier one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

from=${ROLLING_FROM:-b1892cb} # before the house was rebuilt
tests=${ROLLING_TESTS:-'^(TestRevokedOnOneProcessIsDeadOnAnother|TestFrozenLeaderDoesNoHarmWhenItWakesUp|TestSignerFrozenInItsTurnSignsNoOtherTree|TestFrozenServerKnowsBetterTheMomentItWakesUp|TestChaos)$'}
with=()
if command -v cc >/dev/null 2>&1; then with=(-race); fi

git rev-parse -q --verify "$from^{commit}" >/dev/null || {
	echo "there is no commit $from here: set ROLLING_FROM, or fetch the whole history" >&2
	exit 1
}
place=$(mktemp -d)
trap 'git worktree remove --force "$place/source"; rm -rf "$place"' EXIT
git worktree add --quiet --detach "$place/source" "$from"
(cd "$place/source" && go build -buildvcs=false "${with[@]}" -o "$place/agentidp" ./cmd/agentidp)
echo "beside servers of $(git log -1 --format='%h, %cs' "$from"):"
OLD_PROGRAM="$place/agentidp" bin/withservices -- go test -buildvcs=false "${with[@]}" -count=1 -v -run "$tests" ./test/system
