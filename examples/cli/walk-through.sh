#!/bin/sh
# Walks through the command line: init, daemon, status, watch, stepdown. Needs a NATS server with JetStream at NATS_URL
# (default: nats://localhost:4222).
#
#   sh examples/cli/walk-through.sh                                             # with nats-leader on PATH
#   CLI="node --import tsx src/cli/main.ts" sh examples/cli/walk-through.sh     # in a clone
set -eu

cli=${CLI:-nats-leader}
url=${NATS_URL:-nats://localhost:4222}
folder=$(mktemp -d)
pids=

# Stops the daemons in order: each SIGTERM releases the lease. A second Ctrl-C reaches the daemons, which then exit immediately.
finish() {
  trap - EXIT
  trap '' INT TERM
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

show() {
  printf '\n$ nats-leader %s\n' "$*"
}

# Prints a command and runs it.
run() {
  show "$@"
  $cli "$@"
}

# Starts a command in the background; its output goes to a file.
background() {
  output=$1
  shift
  show "$@" "&"
  : >"$output"
  $cli "$@" >"$output" 2>&1 &
  newest=$!
  pids="$pids $newest"
}

# Waits until a file contains a text, as long as the newest background command runs.
wait_for() {
  tries=0
  until grep -q "$2" "$1"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ]; then
      fail "timed out after 30 s waiting for \"$2\"" "$1"
    elif ! kill -0 "$newest" 2>/dev/null; then
      fail "the command has ended without \"$2\"" "$1"
    fi
    sleep 0.1
  done
}

fail() {
  echo "$1; its output:" >&2
  cat "$2" >&2
  exit 1
}

a="$folder/a.json"
b="$folder/b.json"

run init --cluster-id example-cli --node-id a --nats-url "$url" --config "$a"
run init --cluster-id example-cli --node-id b --nats-url "$url" --config "$b"
printf '\n$ cat %s\n' "$a"
cat "$a"

background "$folder/a.log" daemon --require-nats --config "$a"
wait_for "$folder/a.log" "is now the LEADER"
background "$folder/b.log" daemon --require-nats --config "$b"
wait_for "$folder/b.log" "Cluster leader changed"
run status --config "$b"

background "$folder/watch.log" watch --config "$b"
wait_for "$folder/watch.log" "a leads"
run stepdown --to b --config "$a"
wait_for "$folder/watch.log" "b leads"
run status --config "$b"

printf '\nOutput of watch:\n'
cat "$folder/watch.log"
