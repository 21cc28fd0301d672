#!/usr/bin/env bash
# Send a burst of scans through the cluster that `scripts/kind.sh up` made, and check that the pool
# grows, is held by its token ceiling, loses no scan, draws no 429s, and shrinks again.
#
#   scripts/kind-e2e.sh CONTEXT
set -euo pipefail
cd "$(dirname "$0")/.."

readonly CONTEXT=${1:?usage: scripts/kind-e2e.sh CONTEXT}
readonly POOL=scanworkerpool/scan-worker
readonly WORKERS=deployment/scan-worker
readonly USERS=manifests/overlays/kind/users.yaml
readonly PROVIDER_STATE=/api/v1/namespaces/scan/services/openai:http/proxy/sandbox/state
# The default waits five minutes before it shrinks a pool: right for a workload, long for a check.
readonly SHORT_WINDOW='{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":30}}}}'
readonly DEFAULT_WINDOW='{"spec":{"behavior":null}}'
readonly START_SECONDS=120
# The Job's own deadline, and some time to see it.
readonly BURST_SECONDS=630
readonly SHRINK_SECONDS=240

in_scan() {
  kubectl --context "$CONTEXT" --namespace scan "$@"
}

field() {
  in_scan get "$1" --output "jsonpath=$2"
}

fail() {
  {
    in_scan get scanworkerpools --output wide
    in_scan describe "$POOL"
    in_scan get pods --output wide
    kubectl --context "$CONTEXT" --namespace scanpool-system logs deployment/scanpool --tail=50
  } >&2 || true
  echo "FAILED: $*" >&2
  exit 1
}

has_replicas() {
  [[ $(field "$WORKERS" '{.spec.replicas}') == "$1" ]]
}

await_replicas() { # number, seconds, what it means if they do not come
  local deadline=$((SECONDS + $2))
  until has_replicas "$1"; do
    ((SECONDS < deadline)) || fail "$3: no $1 replicas within $2 s"
    sleep 2
  done
}

restore() {
  in_scan patch "$POOL" --type merge --patch "$DEFAULT_WINDOW" >/dev/null || true
}

# Sets `peak` and `limits` to the most replicas and to every limitedBy seen until the Job ends.
watch_burst() {
  local deadline=$((SECONDS + BURST_SECONDS)) replicas limit ended seen=""
  local conditions='{.status.conditions[?(@.status=="True")].type}'
  peak=0
  limits=" "
  # Other conditions, as SuccessCriteriaMet and FailureTarget, come before its end.
  until ended=$(field job/users "$conditions") &&
    [[ $ended == *Complete* || $ended == *Failed* ]]; do
    ((SECONDS < deadline)) || fail "the burst did not end within $BURST_SECONDS s"
    replicas=$(field "$WORKERS" '{.spec.replicas}')
    limit=$(field "$POOL" '{.status.limitedBy}')
    if ((replicas > peak)); then peak=$replicas; fi
    if [[ $limits != *" $limit "* ]]; then limits+="$limit "; fi
    if [[ "$replicas $limit" != "$seen" ]]; then
      seen="$replicas $limit"
      in_scan get "$POOL"
    fi
    sleep 2
  done
  [[ $ended == *Complete* ]] || fail "the users' Job ended as $ended"
}

# The users print a JSON line a second; the last one is the result.
check_scans() {
  in_scan logs job/users --tail=1 | python3 -c '
import json, sys
counts = json.load(sys.stdin)
print("scans:", counts)
lost_or_failed = counts["in_flight"] + counts["failed"]
sys.exit(1 if lost_or_failed or not counts["completed"] else 0)
' || fail "scans were lost or failed"
}

check_429s() { # the provider's state before the burst
  python3 -c '
import json, sys
before, after = map(json.loads, sys.argv[1:])
calls = after["calls"] - before["calls"]
refused = after["statuses"].get("429", 0) - before["statuses"].get("429", 0)
print(f"LLM calls: {calls}, 429s: {refused}")
sys.exit(1 if refused > 0.005 * calls else 0)
' "$1" "$(kubectl --context "$CONTEXT" get --raw "$PROVIDER_STATE")" ||
    fail "more than 0.5% of the LLM calls were answered with 429"
}

minimum=$(field "$POOL" '{.spec.minReplicas}')
maximum=$(field "$POOL" '{.spec.maxReplicas}')
trap restore EXIT
in_scan patch "$POOL" --type merge --patch "$SHORT_WINDOW"
await_replicas "$minimum" "$START_SECONDS" "the pool is not at rest before the burst"

before=$(kubectl --context "$CONTEXT" get --raw "$PROVIDER_STATE")
in_scan delete job/users --ignore-not-found --wait
in_scan apply --filename "$USERS"
watch_burst
((peak > minimum)) || fail "the pool did not grow beyond $minimum replicas"
((peak <= maximum)) || fail "the pool grew to $peak replicas, beyond $maximum"
[[ $limits == *" Tokens "* ]] || fail "the token ceiling never bound; what did:$limits"
check_scans
check_429s "$before"
await_replicas "$minimum" "$SHRINK_SECONDS" "the pool did not shrink"
in_scan get "$POOL"
echo "PASSED: $minimum -> $peak -> $minimum replicas, held by the token ceiling"
