#!/usr/bin/env bash
# Lets schemathesis make requests of what /openapi.json says, and looks for answers that are not in
# it: a 5xx, or a status that is not documented. Takes about ten minutes.
#
#   conformance/fuzz.sh URL [ARGUMENTS OF SCHEMATHESIS...]
#
# It is installed from PyPI into a folder of its own ($FUZZ_VENV, else beside temporary files). Use a
# broker whose data you can throw away.
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
url=${1%/}
shift
venv=${FUZZ_VENV:-${TMPDIR:-/tmp}/lanna-fuzz}
if [ ! -x "$venv/bin/schemathesis" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet 'schemathesis>=4.32,<5'
fi
exec "$venv/bin/schemathesis" run "$url/openapi.json" \
    --checks not_a_server_error,status_code_conformance --request-timeout 20 "$@"
