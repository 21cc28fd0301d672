#!/bin/sh
# Makes what krew installs: scripts/krew.sh VERSION URL DIRECTORY
# writes DIRECTORY/kubectl-scanpool.tar.gz, the same to the last bit each time, and
# DIRECTORY/scanpool.yaml, the manifest with its checksum. URL is where people get the archive and
# ends in its name; HOMEPAGE may name the project's page.
set -eu

if [ $# -ne 3 ]; then
    echo "usage: $0 VERSION URL DIRECTORY" >&2
    exit 2
fi
version=$1 url=$2 directory=$3
root=$(cd "$(dirname "$0")/.." && pwd)
archive=$directory/kubectl-scanpool.tar.gz
mkdir -p "$directory"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
install -m 755 "$root/deploy/krew/kubectl-scanpool" "$stage/kubectl-scanpool"
install -m 644 "$root/LICENSE" "$stage/LICENSE"
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$stage" -cf - \
    LICENSE kubectl-scanpool | gzip -n >"$archive"
sum=$(sha256sum "$archive" | cut -d ' ' -f 1)

cat >"$directory/scanpool.yaml" <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: scanpool
spec:
  version: v$version
  homepage: ${HOMEPAGE:-$url}
  shortDescription: See why scanpool's pools have their replicas
  description: |
    Explains ScanWorkerPools, shows them live, and turns KEDA's ScaledObjects
    into pools. Runs scanpool of this machine if it is installed with pip, else
    the operator's own, in its pod.
  caveats: |
    Without scanpool on this machine you need the right to exec into the
    operator's pod; "plan" needs pip install scanpool.
  platforms:
  - selector:
      matchExpressions:
      - {key: os, operator: In, values: [linux, darwin]}
    uri: $url
    sha256: $sum
    files:
    - {from: kubectl-scanpool, to: .}
    - {from: LICENSE, to: .}
    bin: kubectl-scanpool
EOF
