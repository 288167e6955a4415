#!/usr/bin/env bash
# Renders all conversations and lines of jinja/testdata with PyPI's jinja2, as
# transformers does, and compares our renderings with them; with -update it also
# writes jinja/testdata/golden.json anew. ALMA_JINJA_PYTHON names a Python that
# has jinja2; without it one is made in a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
ALMA_ORACLE=1 go test ./jinja -run TestAgainstPython -count 1 -v "$@"
