#!/bin/sh
# What the tests need beside Python, from the system's packages: Java and Maven for Spark, PostgreSQL for JDBC,
# Prometheus and its Pushgateway for metrics, Chromium for stories. On Debian and its like root gets what is missing;
# anybody else is told.
set -eu

missing=
need() { # a program, or a place where it lies; the package that has it
    command -v "$1" >/dev/null 2>&1 || ls $1 >/dev/null 2>&1 || missing="$missing $2"
}
need java openjdk-17-jdk-headless
need mvn maven
need '/usr/lib/postgresql/*/bin/initdb' postgresql
need prometheus prometheus
need prometheus-pushgateway prometheus-pushgateway
need chromium chromium
need git git
need unshare util-linux

[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Some tests need what is not here. On Debian: apt-get install --no-install-recommends$missing" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# Servers that come with a package are started by the tests that need them, and by nobody else.
policy=/usr/sbin/policy-rc.d
[ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && trap 'rm -f "$policy"' EXIT; }
apt-get update -qq
# shellcheck disable=SC2086 # a word a package
apt-get install -y -qq --no-install-recommends $missing >/dev/null
