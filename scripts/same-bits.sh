#!/usr/bin/env bash
# Holds what the recipe godoc makes against the SHA-256 in scripts/bits: weights of
# every stage, rankings, evaluation. A change that claims to keep all bits passes.
#
#   scripts/same-bits.sh             a small model on each set of kernels, two minutes
#   scripts/same-bits.sh 1 2         the recipe with seeds 1 and 2, a quarter of an hour each
#   scripts/same-bits.sh write ...   the same, and writes the hashes down as the new ones
#
# The hashes hold for the text of one version of Go (scripts/bits/go-version), which
# is what the recipe learns from. Kernels for AVX-512 make the bits of those for AVX2.
set -euo pipefail
cd "$(dirname "$0")/.."
write=
if [ "${1:-}" = write ]; then
  write=yes
  shift
fi
have=$(go env GOVERSION)
want=$(cat scripts/bits/go-version)
if [ "$have" != "$want" ]; then
  echo "same-bits: the hashes are of $want's source text, and this is $have; nothing is compared"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/alma" ./cmd/alma

compare() { # run's folder, name of the list
  local list=$PWD/scripts/bits/$2.sha256
  if [ -n "$write" ]; then
    (cd "$1" && sha256sum $(cut -c67- "$list")) > "$work/new" && cp "$work/new" "$list"
    echo "$2: written"
  elif (cd "$1" && sha256sum --quiet -c "$list"); then
    echo "$2: all bits equal"
  else
    echo "$2: bits differ"
    failed=yes
  fi
}

failed=
if [ $# -eq 0 ]; then
  sets=$(sed 's/^/--set /' scripts/bits/toy.sets)
  sed '/^thresholds:/,$d' recipes/godoc.yaml > "$work/toy.yaml"
  for kernels in avx2 avx512 portable; do
    list=$kernels
    [ $kernels = avx512 ] && list=avx2
    if [ $kernels != portable ] && ! grep -qw "${kernels/avx512/avx512vl}" /proc/cpuinfo; then
      echo "$kernels: this processor has none, skipped"
      continue
    fi
    # shellcheck disable=SC2086
    if ! ALMA_CPU=$kernels "$work/alma" run "$work/toy.yaml" --out "$work/$kernels" $sets 2> "$work/log"; then
      cat "$work/log"
      exit 1
    fi > /dev/null
    compare "$work/$kernels" "toy-$list"
  done
fi
for seed; do
  if ! "$work/alma" run recipes/godoc.yaml --set "seed=$seed" --out "$work/seed$seed" > "$work/log" 2>&1; then
    tail -20 "$work/log"
  fi
  compare "$work/seed$seed" "godoc-seed$seed"
done
[ -z "$failed" ]
