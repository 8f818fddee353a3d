#!/usr/bin/env bash
# A STORE_FAULTS program for nodes of EventStoreDB that are processes of this
# machine: see docs/guides/qualify-eventstoredb.md. STORE_NODES is a folder that
# has a folder for each node, by its name, with
#
#	address   host:port, as the cluster's gossip has it
#	start     a program that becomes the node: it ends with exec
#	pid       its process; this script writes it, and reads what is there
#
# STORE_ADMIN is user:password of somebody who may have a leader resign (default
# admin:changeit), STORE_HTTP how the nodes are reached (http, or https by
# default), STORE_CURL more options of curl, such as "--cacert /path/ca.crt".
set -euo pipefail

nodes=${STORE_NODES:?a folder of nodes}
fail() {
	echo "store-faults: $*" >&2
	exit 1
}
known() { [[ $# -eq 2 && -d $nodes/$2 ]] || fail "usage: $1 NAME, where $nodes/NAME is a folder"; }
signal() { kill "-$2" "$(<"$nodes/$1/pid")"; }
runs() { [[ -e $nodes/$1/pid ]] && kill -0 "$(<"$nodes/$1/pid")" 2>/dev/null; }

case ${1:-} in
nodes)
	for node in "$nodes"/*/; do
		node=${node%/}
		echo "${node##*/} $(<"$node/address")"
	done
	;;
freeze)
	known "$@"
	signal "$2" STOP
	;;
wake)
	known "$@"
	! runs "$2" || signal "$2" CONT
	;;
kill)
	known "$@"
	! runs "$2" || signal "$2" KILL
	while runs "$2"; do sleep 0.05; done
	;;
start)
	known "$@"
	runs "$2" && exit
	setsid "$nodes/$2/start" </dev/null >>"$nodes/$2/log" 2>&1 &
	echo $! >"$nodes/$2/pid"
	;;
resign)
	# Those that do not lead have nothing to resign from.
	resigned=
	for node in "$nodes"/*/; do
		# shellcheck disable=SC2086 # several options
		curl -fsS --max-time 10 ${STORE_CURL:-} -u "${STORE_ADMIN:-admin:changeit}" -d '' \
			"${STORE_HTTP:-https}://$(<"$node/address")/admin/node/resign" >/dev/null && resigned=yes
	done
	[[ $resigned ]] || fail "no node took it"
	;;
*) fail "usage: nodes | freeze NAME | wake NAME | kill NAME | start NAME | resign" ;;
esac
