#!/usr/bin/env bash
# Runs the cases of this folder against a program of this version that is built already.
#
#   conformance/own.sh PROGRAM [ARGUMENTS OF THE BROKER...]
#
# The broker keeps its data in a folder that is gone afterwards, unless the arguments name a store.
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
program=$1
shift
here=$(dirname "$0")
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$program" --listen "127.0.0.1:$port" --data "$folder/data" --allow-private-egress "$@" \
    >"$folder/log" 2>&1 &
broker=$!
# Signals leave the broker time to end by itself.
trap 'kill "$broker" 2>/dev/null; wait "$broker" 2>/dev/null || true; rm -rf "$folder"' EXIT
for _ in $(seq 300); do
    if python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/ready')" 2>/dev/null; then
        "$here/run.py" "http://127.0.0.1:$port"
        exit
    fi
    if ! kill -0 "$broker" 2>/dev/null; then break; fi
    sleep 0.2
done
cat "$folder/log" >&2
echo "the broker did not start" >&2
exit 1
