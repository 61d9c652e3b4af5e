#!/bin/sh
# Brings promtool, which checks the metrics and the alert rules, to
# target/tools/prometheus. Prometheus's package would start a server, so the
# program is only taken out of it. Does nothing when it is there.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
folder="$root/target/tools/prometheus"
tool="$folder/usr/bin/promtool"

if "$tool" --version >/dev/null 2>&1; then
    exit 0
fi
for program in apt-get dpkg; do
    if ! command -v "$program" >/dev/null; then
        echo "$0: no $program here; put Prometheus's promtool at $tool" >&2
        exit 1
    fi
done

export DEBIAN_FRONTEND=noninteractive
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
apt-get download prometheus >&2 || { apt-get update >&2 && apt-get download prometheus >&2; }
dpkg -x prometheus_*.deb .
rm -f prometheus_*.deb
"$tool" --version >&2
