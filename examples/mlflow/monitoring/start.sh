#!/bin/sh
# Prometheus and Alertmanager do not substitute variables. This script does, for the names below, then starts the program.
set -eu
mkdir -p /tmp/monitoring
for file in /monitoring/*.yml; do
  filled=$(cat "$file")
  for name in SCRAPE_INTERVAL EVALUATION_INTERVAL RATE_WINDOW ALERT_FOR RETRAINING_WINDOW RETRAINING_STALLED_AFTER_S \
      MODEL_STALE_AFTER_S GROUP_WAIT; do
    filled=$(printf '%s\n' "$filled" | sed "s|\${$name}|$(printenv "$name" || true)|g")
  done
  printf '%s\n' "$filled" >"/tmp/monitoring/$(basename "$file")"
done

case "$1" in
  prometheus)
    exec prometheus --config.file=/tmp/monitoring/prometheus.yml --storage.tsdb.path=/prometheus \
      --storage.tsdb.retention.time=15d ;;
  alertmanager)
    exec alertmanager --config.file=/tmp/monitoring/alertmanager.yml --storage.path=/alertmanager \
      --cluster.listen-address= ;;
esac
