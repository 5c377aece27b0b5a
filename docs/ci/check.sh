#!/bin/sh
# Verifies a state and boots it on releases, as a CI job does; action.yml and gitlab-ci.yml call this. By variables:
#   STATE_DIR   directory with a directory for each server; without it, a sample cluster is booted
#   TARGETS     releases, raft:<version>, or both, with commas; without it, the newest release
#   UPGRADES    FROM..TO, with commas
#   FAIL_ON     error (default) or warning: from which finding of verify on the job fails
#   FORMAT      text (default), json or github
#   REPORTS     directory for verify.xml, gate.xml and gate.html; default: reports
# Exit status: that of verify if it isn't 0, else that of gate: 0 fine, 1 findings or not accepted, 2 inconclusive.
set -u
reports=${REPORTS:-reports}
format=${FORMAT:-text}
mkdir -p "$reports" || exit 2

verified=0
if [ -n "${STATE_DIR:-}" ]; then
    op-conductor-init verify --state-dir "$STATE_DIR" --fail-on "${FAIL_ON:-error}" --format "$format" \
        --junit "$reports/verify.xml" || verified=$?
fi

accepted=0
op-conductor-init gate ${STATE_DIR:+--state-dir "$STATE_DIR"} ${TARGETS:+--target "$TARGETS"} \
    ${UPGRADES:+--upgrade "$UPGRADES"} --format "$format" --junit "$reports/gate.xml" --html "$reports/gate.html" ||
    accepted=$?

[ "$verified" -eq 0 ] || exit "$verified"
exit "$accepted"
