#!/usr/bin/env bash
# Installs PostgreSQL for the tests of store/postgres and audit/postgres, if the
# machine has none. The tests start it themselves, in temporary folders; no
# cluster of the machine's own is made.
set -euo pipefail

compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && exit
command -v postgres >/dev/null && exit
if ! command -v apt-get >/dev/null; then
  echo "ci: PostgreSQL is missing, and there is no apt-get: install it, with its bin folder in PATH" >&2
  exit 1
fi

as_root=()
if [[ $(id -u) != 0 ]]; then
  as_root=(sudo -n)
fi
echo "ci: installing PostgreSQL" >&2
"${as_root[@]}" mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql >/dev/null
}
# Package lists may be missing or old; and once more where a mirror had a bad moment.
install || { "${as_root[@]}" apt-get update -qq && install; }
