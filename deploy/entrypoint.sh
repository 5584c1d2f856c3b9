#!/bin/sh
# PID 1 of the container.
#
# A command that starts no programs takes the place of this shell, and handles signals itself. Programs of "run" may leave processes behind, which
# become children of PID 1. Node does not wait for children that it has not started, and they would remain as zombies. So this shell stays as
# PID 1 of "run": its "wait" collects every child, and it passes signals on.
main=/opt/nats-leader/node_modules/nats-leader/dist/cli/main.js

[ "$1" = run ] && [ $$ -eq 1 ] || exec node "$main" "$@"

child=
for signal in TERM INT HUP USR1 USR2; do
  # shellcheck disable=SC2064
  trap "[ -z \"\$child\" ] || kill -$signal \"\$child\"" "$signal"
done
node "$main" "$@" <&0 &
child=$!
# A signal ends "wait" early: the command still runs then.
while
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null
do :; done
exit "$code"
