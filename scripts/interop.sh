#!/usr/bin/env bash
# Shows with the real tools from PyPI (torch, transformers and peft, about 5 GB)
# that what alma writes opens there with the same results, and writes what was seen
# to docs/interop.md. ALMA_INTEROP_VENV names an environment to use or make.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${ALMA_INTEROP_VENV:-${TMPDIR:-/tmp}/alma-interop-venv}
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
fi
"$venv/bin/python" -c 'import torch, transformers, safetensors, peft' 2>/dev/null ||
  "$venv/bin/pip" install -q torch transformers safetensors tokenizers peft
output=$(ALMA_INTEROP_PYTHON="$venv/bin/python" go test ./evaluate ./chat -run Interop -v -count 1)
printf '%s\n' "$output"
{
  printf '# What other tools open\n\nWritten by `scripts/interop.sh`, which takes torch, transformers and peft from PyPI.\n'
  printf 'alma makes models of each family and head, writes them as folders, and\ntransformers opens them: the logits, a greedy continuation and the tokens of a\ntext must be the same. PEFT opens the adapters that alma writes: logits and\ngradients must be the same.\n\n```\n'
  printf '%s\n' "$output" | grep -v '^=== ' | sed -E 's/\([0-9.]+s\)//; s/\t[0-9.]+s$//; s/^    //'
  printf '```\n'
} > docs/interop.md
