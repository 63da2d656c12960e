#!/usr/bin/env bash
# Runs the outside conformance suite, or a part of it, against a broker.
#
#   RUNNER=PROGRAM conformance/outside.sh SUITE-FOLDER URL [GROUP...]
#
# PROGRAM is called as  PROGRAM SUITE-FOLDER URL GROUP...  and has to print, as its last line,
# "N passed, N failed". The broker must be allowed to reach loopback addresses, since the suite
# serves contexts and receives notifications there (LANNA_EGRESS_ALLOW_PRIVATE=true), and cut
# temporal answers at 30 instances (LANNA_LIMITS_TEMPORAL_INSTANCES=30).
# Without groups, those run that concern what Lanna does today.
set -euo pipefail

if [ $# -lt 2 ] || [ -z "${RUNNER:-}" ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
suite=$1 url=$2
shift 2

case $url in
    http://127.0.0.1:*|http://localhost:*|http://\[::1\]:*) ;;
    *) echo "only a broker on this machine can be tested: the suite's servers are here" >&2; exit 2 ;;
esac
if [ ! -d "$suite/TP/NGSI-LD" ]; then
    echo "$suite does not hold the suite: TP/NGSI-LD is missing" >&2
    exit 2
fi

if [ $# -eq 0 ]; then
    set -- TP/NGSI-LD/CommonBehaviours \
        TP/NGSI-LD/ContextInformation/Consumption/Entity \
        TP/NGSI-LD/ContextInformation/Consumption/Discovery \
        TP/NGSI-LD/ContextInformation/Consumption/TemporalEntity \
        TP/NGSI-LD/ContextInformation/Provision/TemporalEntity \
        TP/NGSI-LD/ContextInformation/Provision/TemporalEntityAttributes \
        TP/NGSI-LD/ContextInformation/Provision/Entities \
        TP/NGSI-LD/ContextInformation/Provision/EntityAttributes \
        TP/NGSI-LD/ContextInformation/Provision/BatchEntities \
        TP/NGSI-LD/ContextInformation/Provision/PurgeEntities \
        TP/NGSI-LD/ContextInformation/Provision/TransientEntities \
        TP/NGSI-LD/ContextInformation/Subscription \
        TP/NGSI-LD/ContextSource \
        TP/NGSI-LD/ContextInformation/EntityMap \
        TP/NGSI-LD/ContextInformation/Snapshot \
        TP/NGSI-LD/jsonldContext
fi
exec "$RUNNER" "$suite" "$url" "$@"
