#!/usr/bin/env bash
# Makes what docker-compose.yml needs and nobody should know: a password for each role, the users of Redis with the
# least rights each role needs, a password for Grafana; and .env with the group of the engine's socket. What is there
# already is kept, so it may be run again.
#
#   scripts/compose-secrets.sh                  into ./secrets and ./.env
#   scripts/compose-secrets.sh FOLDER ENVFILE   into others
#
# HEMOSTAT_IMAGE is the image that is asked for the rights, hemostat:latest where it is not set.
set -euo pipefail
case "${1:-}" in
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "error: unknown argument \`$1\`; see --help" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."

folder=${1:-secrets} env=${2:-.env} image=${HEMOSTAT_IMAGE:-hemostat:latest}
host=${DOCKER_HOST:-unix:///var/run/docker.sock}

# Nobody else may enter the folder. The files are readable all the same: an agent, which is another user, sees only
# those that are mounted into its container.
install -d -m 0700 "$folder"
umask 0222

# secret NAME: 32 random bytes.
secret() {
    [ -e "$folder/$1" ] || head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$folder/$1"
}

roles='monitor analyzer responder alert archiver bridge metrics operator'
for role in $roles; do secret "redis_$role"; done
secret grafana_password

umask 0077
[ -e "$env" ] || cp .env.example "$env"
umask 0222
inbound=$(sed -n 's/^HEMOSTAT_BRIDGE_INBOUND=//p' "$env")

# The rights may be others in a new version: always made anew, and there at once as a whole.
acl=$(mktemp "$folder/acl.XXXXXX")
trap 'rm -f "$acl"' EXIT
{
    # Nobody can log in as the default user, but Redis itself acts as it when it loads its file: without these rights
    # it would pass over every transaction in there and start with an empty log.
    echo 'user default off resetpass ~* &* +@all'
    echo 'user health on nopass resetkeys resetchannels -@all +ping'
    for role in $roles; do
        # The bridge may append what HEMOSTAT_BRIDGE_INBOUND names, and nothing else.
        rights=$(docker run --rm --network none ${inbound:+--env "HEMOSTAT_BRIDGE_INBOUND=$inbound"} "$image" \
            acl --role "$role" --form aclfile)
        echo "$rights #$(sha256sum <"$folder/redis_$role" | cut -d ' ' -f 1)"
    done
} >"$acl"
chmod 0444 "$acl"
mv -f "$acl" "$folder/redis_acl"

case "$host" in
    unix://*) ;;
    *) echo "the engine is elsewhere ($host): set DOCKER_GID in $env to the group of its socket" >&2; exit 0 ;;
esac
if grep -q '^DOCKER_GID=$' "$env"; then
    sed -i "s/^DOCKER_GID=\$/DOCKER_GID=$(stat -L -c %g "${host#unix://}")/" "$env"
fi
