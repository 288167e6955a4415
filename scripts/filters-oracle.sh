#!/usr/bin/env bash
# Compares the verdicts of alma's filters with those of PyPI's datatrove, which
# FineWeb was made with, on the same documents: comments of Go's source, and the
# texts of ../shared/data where they are. Each filter is given the same limits, and
# must agree on at least 99.5 %. What differs is said rule by rule, with the texts
# in ALMA_FILTERS_DIFFERENCES where that names a folder. It installs datatrove and
# spaCy into ALMA_FILTERS_VENV (default: a folder in TMPDIR, used again), and skips,
# with the reason, where it cannot.
#
#   scripts/filters-oracle.sh
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
  printf 'filters-oracle: skipped: %s\n' "$1"
  exit 0
}
command -v python3 >/dev/null || skip 'there is no python3'
venv=${ALMA_FILTERS_VENV:-${TMPDIR:-/tmp}/alma-filters-venv}
if ! "$venv/bin/python" -c 'import datatrove, spacy, regex' 2>/dev/null; then
  python3 -m venv "$venv" 2>/dev/null || skip 'python3 has no venv'
  "$venv/bin/pip" install -q datatrove==0.10.1 spacy==3.8.18 regex 2>/dev/null ||
    skip 'PyPI cannot be reached'
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
differences=${ALMA_FILTERS_DIFFERENCES:-$work}
shared=
for folder in ../shared/data "${ALMA_SHARED_DATA:-}"; do
  [ -n "$folder" ] && [ -d "$folder" ] && shared=$folder
done
go build -o "$work/oracle" ./corpus/filter/_oracle
"$venv/bin/python" scripts/filters-oracle.py "$work/oracle" "$differences" "$shared" "$(go env GOROOT)"
