#!/bin/sh
# Measures alma beside PyTorch, TRL and llama.cpp, in turn and on the same work,
# and writes docs/benchmarks.json and docs/benchmarks.md. Needs go, python3, cc and,
# the first time, a network; a peer that cannot be had is named on the page.
#
#	bench/peers/run.sh                    everything, in less than 15 minutes
#	bench/peers/run.sh --quick            each row once, short, to see that it works
#	bench/peers/run.sh --rows decode      only the rows whose name holds "decode"
#	bench/peers/run.sh --more             more rounds of the same, for medians
#	bench/peers/run.sh --page             the page again from docs/benchmarks.json
#	bench/peers/run.sh --tune             PyTorch's settings beside each other
#
# ALMA_PEERS_VENV is a virtual environment to use or make, ALMA_PEERS_WORK a
# folder for what is built and kept between runs.
set -eu
cd "$(dirname "$0")/../.."
work=${ALMA_PEERS_WORK:-${TMPDIR:-/tmp}/alma-peers}
venv=${ALMA_PEERS_VENV:-$work/venv}
mkdir -p "$work/gguf"

for argument; do
  if [ "$argument" = --page ]; then
    exec python3 bench/peers/compare.py --work "$work" "$@"
  fi
done

if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
fi
for package in torch trl peft xllamacpp gguf; do
  "$venv/bin/python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$package') is None)" || missing=1
done
if [ -n "${missing:-}" ]; then
  "$venv/bin/pip" install -q -r bench/peers/requirements.txt || echo "bench/peers: not every peer could be installed; their rows will say so" >&2
fi

go build -trimpath -o "$work/alma" ./cmd/alma

# PyTorch's best settings need an allocator that keeps large blocks, and MKL's
# own kernels on processors that are not Intel's.
tcmalloc=$(ldconfig -p 2>/dev/null | sed -n 's/.*libtcmalloc_minimal\.so\.4 .*=> //p' | head -n 1)
if [ -z "$tcmalloc" ]; then
  if [ ! -d "$work/tcmalloc" ] && command -v apt-get >/dev/null; then
    (cd "$work" && apt-get download -q libtcmalloc-minimal4 >/dev/null 2>&1 && dpkg -x libtcmalloc-minimal4_*.deb tcmalloc) ||
      echo "bench/peers: no tcmalloc: install libtcmalloc-minimal4" >&2
  fi
  tcmalloc=$(find "$work/tcmalloc" -name 'libtcmalloc_minimal.so.4' 2>/dev/null | head -n 1)
fi
cc -O2 -shared -fPIC -o "$work/intel.so" bench/peers/intel.c || echo "bench/peers: no C compiler: MKL chooses its kernels by the processor's maker" >&2

preload=
for library in "$tcmalloc" "$work/intel.so"; do
  if [ -f "$library" ]; then preload="$preload${preload:+:}$library"; fi
done
TORCHINDUCTOR_CACHE_DIR="$work/inductor" exec "$venv/bin/python" bench/peers/compare.py --work "$work" --preload "$preload" "$@"
