#!/usr/bin/env bash
# Runs Prometheus's promtool: the one in PATH; on Debian or Ubuntu else the one of the
# package prometheus, unpacked beside the other tools and not installed; anywhere else
# the one of tools/prometheus, which takes minutes to compile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

unpacked=bin/prometheus/usr/bin/promtool
if command -v promtool >/dev/null; then
	exec promtool "$@"
fi
if [[ ! -x $unpacked ]] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
	package=$(mktemp -d)
	chmod 755 "$package"
	fetch() { (cd "$package" && apt-get download -qq prometheus >/dev/null 2>&1); }
	if fetch || { [[ $EUID -eq 0 ]] && apt-get update -qq >/dev/null && fetch; }; then
		mkdir -p bin/prometheus
		dpkg-deb -x "$package"/prometheus_*.deb bin/prometheus
	fi
	rm -rf "$package"
fi
if [[ -x $unpacked ]]; then
	exec "$unpacked" "$@"
fi
exec go tool -modfile=tools/prometheus/go.mod promtool "$@"
