#!/usr/bin/env bash
# Runs the three nodes of compose.yaml and checks that they are one cluster: they
# find each other under the service's name, any takes a write, one that is killed
# leaves the others serving, and comes back with the data.
#
# Usage: deploy/compose-smoke.sh
#   COMPOSE   how Compose is called: "docker compose" (default, where there is one)
#             or docker-compose
#
# It needs an image winter:latest, and the ports 6060, 6070 and 6080 of this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [ -z "${COMPOSE:-}" ]; then
  if docker compose version >/dev/null 2>&1; then COMPOSE="docker compose"; else COMPOSE=docker-compose; fi
fi
project=winter-smoke-$$
passed=0

step() { printf '\n--- %s\n' "$1"; }
pass() { passed=$((passed + 1)); printf 'ok: %s\n' "$1"; }
fail() {
  printf 'FAILED: %s\n' "$1" >&2
  compose logs --tail 15 >&2 || true
  exit 1
}

# shellcheck disable=SC2086 # the command is words
compose() { $COMPOSE --project-name "$project" --file compose.yaml "$@"; }
trap 'compose down --timeout 45 >/dev/null 2>&1 || true' EXIT

# What a client inside a service's container is answered.
ask() { compose exec -T "$1" /usr/bin/winter cli "${@:2}" </dev/null; }

# Waits for a minute at the most until a command succeeds.
await() {
  for _ in $(seq 120); do
    if "${@:2}" >/dev/null 2>&1; then return 0; fi
    sleep 0.5
  done
  fail "$1: not within a minute"
}

is_healthy() {
  local id
  id=$(compose ps -q "$1")
  [ "$(docker inspect --format '{{.State.Health.Status}}' "$id")" = healthy ]
}
# Whether a service says that so many members are up and every partition is led.
is_whole() {
  local said
  said=$(ask "$1" CLUSTER)
  [ "$(grep -c ' state up ' <<<"$said")" = "$2" ] && ! grep -q 'leader none' <<<"$said"
}
cluster_of() { ask "$1" CLUSTER | sed -n 's/^cluster \([0-9a-f]*\) .*/\1/p'; }
reads() { [ "$(ask "$1" GET pets rex)" = dog ]; }

docker image inspect winter:latest >/dev/null 2>&1 || {
  echo "there is no image winter:latest; the head of compose.yaml says how it is built" >&2
  exit 64
}

step "three nodes, with $($COMPOSE version | head -1), engine $(docker version --format '{{.Server.Version}}')"
compose up --detach
for node in winter winter-2 winter-3; do await "$node is a member" is_healthy "$node"; done
pass "all are healthy"
for node in winter winter-2 winter-3; do await "$node sees three" is_whole "$node" 3; done
id=$(cluster_of winter)
for node in winter-2 winter-3; do
  [ "$(cluster_of "$node")" = "$id" ] || fail "$node is of another cluster"
done
pass "they are one cluster, $id"

step "any node takes any command"
[ "$(ask winter CREATE pets)" = created ] || fail "CREATE"
[ "$(ask winter-2 PUTNEW pets rex dog)" = ok ] || fail "PUTNEW"
reads winter-3 || fail "GET"
pass "what one created and another wrote, a third reads"

step "its port is published on this machine"
if [ "$(printf 'GET pets rex\n' | nc -q 1 -w 5 127.0.0.1 6070)" = dog ]; then
  pass "127.0.0.1:6070 answers"
else
  fail "127.0.0.1:6070 does not answer"
fi

step "one is killed"
compose kill winter-2 >/dev/null 2>&1
await "the others serve" reads winter
[ "$(ask winter-3 PUTNEW pets tom cat)" = ok ] || fail "PUTNEW with two of three"
pass "the others read and write"
compose up --detach winter-2
await "winter-2 is a member again" is_healthy winter-2
await "it reads what was written before" reads winter-2
[ "$(cluster_of winter-2)" = "$id" ] || fail "it is of another cluster"
pass "it came back to the same cluster, as another member"
await "the one that was killed is given up" is_whole winter 3
pass "three members, and no more"

step "one is stopped"
compose stop --timeout 45 winter-3 >/dev/null 2>&1
status=$(docker inspect --format '{{.State.ExitCode}}' "$(compose ps -aq winter-3 2>/dev/null || compose ps -q winter-3)")
[ "$status" = 0 ] || fail "exit status $status"
await "two are left" is_whole winter 2
reads winter-2 || fail "GET from the one that came back"
pass "it left with exit status 0, and the others have the data"

printf '\n%s passed, 0 failed\n' "$passed"
