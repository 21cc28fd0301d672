#!/usr/bin/env bash
# The operator and its stand-ins on a kind cluster of their own.
#
#   scripts/kind.sh up      build the images, create the cluster, install, wait until it is ready
#   scripts/kind.sh e2e     send a burst of scans through it and check what the pool does
#   scripts/kind.sh down    delete the cluster
#
# A second `up` brings a running cluster to the state of the working tree.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly CLUSTER=scanpool
readonly IMAGES=(scanpool scanpool-sandbox)
readonly VERSION=0.1.0

die() {
  echo "kind.sh: $*" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null || die "$1 is not installed; see $2"
}

# Never the user's current context.
on_cluster() {
  kubectl --context "kind-$CLUSTER" "$@"
}

exists() {
  kind get clusters 2>/dev/null | grep -qx "$CLUSTER"
}

check_tools() {
  need docker https://docs.docker.com/engine/install/
  need kind https://kind.sigs.k8s.io/docs/user/quick-start/#installation
  need kubectl https://kubernetes.io/docs/tasks/tools/
  docker info >/dev/null 2>&1 || die "the Docker engine does not answer; see 'docker info'"
}

build_images() {
  docker build --target scanpool --tag "scanpool:$VERSION" .
  docker build --target sandbox --tag "scanpool-sandbox:$VERSION" .
}

install() {
  on_cluster apply --server-side --filename crds/
  # A pool can be applied only once its kind is served.
  on_cluster wait --for=condition=Established --timeout=60s crd/scanworkerpools.scan.eco2.io
  on_cluster apply --kustomize manifests/overlays/kind
}

# The images keep their tag, so pods that run the older ones stay as they are.
restart_pods() {
  on_cluster --namespace scanpool-system rollout restart deployment/scanpool
  on_cluster --namespace scan rollout restart deployment/openai deployment/scan-worker
}

wait_until_ready() {
  local target
  for target in scan/rabbitmq scan/openai monitoring/prometheus scanpool-system/scanpool \
    scan/scan-worker; do
    on_cluster --namespace "${target%/*}" rollout status "deployment/${target#*/}" --timeout=300s
  done
  on_cluster --namespace scan wait --for=condition=Ready --timeout=180s \
    scanworkerpool/scan-worker
  on_cluster --namespace scan get scanworkerpools
}

up() {
  check_tools
  build_images
  local existed=no
  if exists; then
    existed=yes
  else
    kind create cluster --config kind-config.yaml --wait 180s
  fi
  local image
  for image in "${IMAGES[@]}"; do
    kind load docker-image --name "$CLUSTER" "$image:$VERSION"
  done
  install
  if [[ $existed == yes ]]; then
    restart_pods
  fi
  wait_until_ready
}

down() {
  check_tools
  kind delete cluster --name "$CLUSTER"
}

case "${1:-}" in
  up) up ;;
  e2e)
    check_tools
    exists || die "there is no cluster '$CLUSTER'; run 'make kind-up' first"
    exec scripts/kind-e2e.sh "kind-$CLUSTER"
    ;;
  down) down ;;
  *) die "usage: scripts/kind.sh up|e2e|down" ;;
esac
