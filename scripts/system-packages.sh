#!/bin/sh
# Installs with apt what this machine lacks of the named commands' packages. Does nothing, and asks
# for no rights, where all of them are there.
#
#   scripts/system-packages.sh rabbitmq-server kubectl prometheus
set -eu

# Debian keeps the servers' commands in sbin, which not everyone's PATH has.
PATH="$PATH:/usr/sbin:/sbin"
missing=""
for wanted in "$@"; do
    case "$wanted" in
        kubectl) package=kubernetes-client ;;
        *) package=$wanted ;;
    esac
    if [ "$wanted" = python3-venv ]; then
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing $package"
    else
        command -v "$wanted" >/dev/null 2>&1 || missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "scanpool needs:$missing. This script knows only apt: install them by hand." >&2
    exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "scanpool needs:$missing. Install them as root, or with sudo on the PATH." >&2
        exit 1
    fi
    sudo=sudo
fi
echo "Installing:$missing"
# At run level 1 Debian starts no service that it installs: the sandbox runs servers of its own, and
# the machine should not get others that nobody asked for.
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
