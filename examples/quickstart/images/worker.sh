#!/bin/sh
# The worker: keeps a note in the volume: how often it has written it, and how many processes it sees.
count=0
while true; do
    count=$((count + 1))
    set -- /proc/[0-9]*
    printf '{"written": %d, "pid": %d, "processes_seen": %d}' "$count" "$$" "$#" >/notes/worker.new
    busybox mv /notes/worker.new /notes/worker.json
    busybox sleep 0.2
done
