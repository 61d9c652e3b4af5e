#!/usr/bin/env bash
# Builds the image and checks that it behaves as its README says: which user it
# runs as, with how little it starts, that it answers, and that it stops.
#
# Usage: deploy/container-smoke.sh [image]
#   BUILD_ENV       prod (default) or dev
#   BUILD_OPTIONS   more options for `docker build`, such as other base images
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

image=${1:-winter:smoke}
build_env=${BUILD_ENV:-prod}
port=1010
passed=0

step() { printf '\n--- %s\n' "$1"; }
pass() { passed=$((passed + 1)); printf 'ok: %s\n' "$1"; }
fail() { printf 'FAILED: %s\n' "$1" >&2; exit 1; }

name=winter-smoke-$$
trap 'docker rm -f "$name" >/dev/null 2>&1 || true' EXIT

# What a client in the same network namespace is answered, whether or not this
# host can reach into it.
ask() { docker run --rm --network "container:$name" "$image" cli --port "$port" "$@" </dev/null; }

# Waits until the server answers, 10 seconds at the most.
await() {
  for _ in $(seq 100); do
    ask PING >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  docker logs "$name" >&2
  fail "the server does not answer"
}

step "build with BUILD_ENV=$build_env"
# shellcheck disable=SC2086 # the options are words
docker build ${BUILD_OPTIONS:-} --build-arg BUILD_ENV="$build_env" -t "$image" . >/dev/null
size=$(docker image inspect --format '{{.Size}}' "$image")
pass "built, $((size / 1000)) kB"

step "another BUILD_ENV is refused by name"
# shellcheck disable=SC2086
if said=$(docker build ${BUILD_OPTIONS:-} --build-arg BUILD_ENV=staging . 2>&1); then
  fail "BUILD_ENV=staging was built"
fi
grep -q "BUILD_ENV is 'staging', and it takes prod or dev" <<<"$said" || fail "it does not say why: $said"
pass "BUILD_ENV=staging is refused"

step "a bad setting is refused before a port is bound"
status=0
said=$(docker run --rm --network none -e RECEPTOR_PORT=seven "$image" 2>&1) || status=$?
[ "$status" = 64 ] || fail "exit status $status instead of 64: $said"
grep -q RECEPTOR_PORT <<<"$said" || fail "it does not name the setting: $said"
pass "RECEPTOR_PORT=seven: exit status 64"

step "start: read-only, no capabilities, 64 MiB, port $port"
docker run -d -t --name "$name" --network none --read-only --cap-drop ALL \
  --security-opt no-new-privileges --memory 64m -e RECEPTOR_PORT=$port "$image" >/dev/null
await
pass "answers on port $port"

step "its user and its process id"
user=$(docker top "$name" -o uid,pid,comm | awk '$3 == "winter" { print $1 }')
[ "$user" = 65532 ] || fail "runs as '$user' instead of 65532"
pass "runs as user 65532"

step "it serves"
[ "$(ask CREATE pets)" = created ] || fail "CREATE"
[ "$(ask PUTNEW pets rex dog)" = ok ] || fail "PUTNEW"
[ "$(ask GET pets rex)" = dog ] || fail "GET"
pass "CREATE, PUTNEW and GET"

step "SIGTERM stops it"
start=$(date +%s%N)
docker stop -t 20 "$name" >/dev/null
took=$((($(date +%s%N) - start) / 1000000))
status=$(docker inspect --format '{{.State.ExitCode}}' "$name")
[ "$status" = 0 ] || fail "exit status $status"
[ "$took" -lt 5000 ] || fail "took $took ms"
pass "exit status 0 after $took ms"

printf '\n%s passed, 0 failed\n' "$passed"
