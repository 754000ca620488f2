#!/bin/sh
# The front: answers with what it, the API and the worker know of each other.
known=$(busybox wget -q -O - "$API/") || { printf 'Status: 503 Service Unavailable\r\n\r\nthe API does not answer\n'; exit; }
address=$(busybox nslookup api 2>/dev/null | busybox sed -n 's/^Address[^:]*: *\([0-9.]*\).*/\1/p' | busybox tail -n 1)
printf 'Content-Type: application/json\r\n\r\n{"web": {"host": "%s", "api_address": "%s"}, %s\n' "$(busybox hostname)" "$address" "${known#"{"}"
