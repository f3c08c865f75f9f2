#!/bin/sh
# Prometheus does not substitute variables. This script does, for the names below, then starts it.
set -eu
mkdir -p /tmp/monitoring
for file in /monitoring/*.yml; do
  filled=$(cat "$file")
  for name in SCRAPE_INTERVAL EVALUATION_INTERVAL RATE_WINDOW ALERT_FOR; do
    filled=$(printf '%s\n' "$filled" | sed "s|\${$name}|$(printenv "$name" || true)|g")
  done
  printf '%s\n' "$filled" >"/tmp/monitoring/$(basename "$file")"
done
exec prometheus --config.file=/tmp/monitoring/prometheus.yml --storage.tsdb.path=/prometheus
