#!/bin/sh
# The API: what the worker wrote into the shared volume, and where the worker is by name.
note=$(busybox cat /notes/worker.json) || { printf 'Status: 503 Service Unavailable\r\n\r\nthe worker has written nothing yet\n'; exit; }
address=$(busybox nslookup worker 2>/dev/null | busybox sed -n 's/^Address[^:]*: *\([0-9.]*\).*/\1/p' | busybox tail -n 1)
printf 'Content-Type: application/json\r\n\r\n{"api": {"greeting": "%s", "worker_address": "%s"}, "worker": %s}\n' "$GREETING" "$address" "$note"
