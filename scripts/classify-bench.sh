#!/usr/bin/env bash
# Measures classifiers on three public sets, one line each: text classes from
# all-MiniLM-L6-v2, from a small encoder that alma pretrains on the texts
# themselves without their labels, and from TF-IDF with logistic regression
# (scripts/classify-baseline.py, if ALMA_SKLEARN names a Python with scikit-learn).
# Every fifth text is for the test, at most TESTS (1000) of them; of the others at most
# TEXTS (1000) are learned. docs/classification.md holds what it wrote.
#
#   scripts/classify-bench.sh DATA WORK [sms|movie|cold …]
#
# DATA has sms-spam/SMSSpamCollection.tsv, sentiment-vader/movieReviewSnippets.tsv
# and cold-zh-toxicity/dev.csv; WORK receives everything. ALMA_MINILM is the folder
# of the model, as scripts/real-encoder.sh finds it; without it MiniLM is left out.
# METHODS chooses among tfidf, alma and minilm. Given again, what is finished is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 work=$2
shift 2
sets=${*:-sms movie cold}
texts=${TEXTS:-1000} tests=${TESTS:-1000} methods=${METHODS:-tfidf alma minilm}
mkdir -p "$work"
go build -o "$work/alma" ./cmd/alma
alma=$work/alma

split() { # FILE with a header, NAME, SUFFIX: the test set, the rest, and what is learned
  awk -v n="$tests" 'NR==1 || (NR-1)%5==0 && ++k<=n' "$1" > "$work/$2-test.$3"
  awk 'NR==1 || (NR-1)%5!=0' "$1" > "$work/$2-rest.$3"
  awk -v n="$texts" 'NR<=n+1' "$work/$2-rest.$3" > "$work/$2-train.$3"
}

prepare() { # NAME: the files, the options of reading them, the recipe
  case $1 in
  sms)
    split "$data/sms-spam/SMSSpamCollection.tsv" sms tsv
    suffix=tsv recipe=classify-sms columns=(--text-column SMS --label-column Label) ;;
  movie)
    # The label is the sign of the mean rating; the file has the positive ones first.
    { printf 'label\ttext\n'; awk -F'\t' '{print ($2>0 ? "positive" : "negative")"\t"$3}' "$data/sentiment-vader/movieReviewSnippets.tsv" |
      LC_ALL=C sort -R --random-source=<(yes 2> /dev/null); } > "$work/movie.tsv"
    split "$work/movie.tsv" movie tsv
    suffix=tsv recipe=classify-sentiment columns=(--text-column text --label-column label) ;;
  cold)
    split "$data/cold-zh-toxicity/dev.csv" cold csv
    suffix=csv recipe=classify-toxicity-zh columns=(--text-column TEXT --label-column label) ;;
  esac
}

measure() { # NAME BASE OUT SETTINGS…
  local name=$1 base=$2 out=$3
  shift 3
  local sets=(--set "text_column=${columns[1]}" --set "label_column=${columns[3]}" --set header=yes)
  "$alma" classify train "recipes/$recipe.yaml" --base "$base" --texts "$work/$name-train.$suffix" --out "$work/$out" --seed 1 "${sets[@]}" "$@" > /dev/null
  printf '%s: ' "$out"
  "$alma" classify eval "$work/$out" "$work/$name-test.$suffix" "${columns[@]}" --json |
    python3 -c 'import json,sys; c=json.load(sys.stdin); print("accuracy %.4f, macro-F1 %.4f, ECE %.4f on %d texts" % (c["accuracy"]["value"], c["macro_f1"], c["ece"], c["n"]))'
}

pretrain() { # NAME: a small encoder from the texts that are not for the test, without labels
  local name=$1
  mkdir -p "$work/$name-text"
  python3 - "$work/$name-rest.$suffix" "${columns[1]}" "$work/$name-text/texts.jsonl" <<'PY'
import csv, json, sys
path, column, out = sys.argv[1:]
with open(path, encoding="utf-8-sig", newline="") as f:
    rows = csv.DictReader(f) if path.endswith(".csv") else csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
    with open(out, "w") as g:
        for i, row in enumerate(rows):
            g.write(json.dumps({"id": str(i), "text": row[column]}, ensure_ascii=False) + "\n")
PY
  "$alma" corpus build "$work/$name-text" --out "$work/$name-corpus" > /dev/null
  "$alma" tokenizer train "$work/$name-corpus" --vocab 1500 --encoder --out "$work/$name-tokenizer" > /dev/null
  "$alma" pretrain recipes/encoder.yaml --corpus "$work/$name-corpus" --tokenizer "$work/$name-tokenizer" --out "$work/$name-encoder" --seed 1 \
    --set layers=3 --set width=128 --set heads=4 --set batch_tokens=2048 --set micro_rows=8 --set steps="${STEPS:-400}" > /dev/null
}

for name in $sets; do
  prepare "$name"
  for method in $methods; do
    case $method in
    tfidf)
      [ -z "${ALMA_SKLEARN:-}" ] ||
        "$ALMA_SKLEARN" scripts/classify-baseline.py "$work/$name-train.$suffix" "$work/$name-test.$suffix" "${columns[1]}" "${columns[3]}" ;;
    alma)
      pretrain "$name"
      measure "$name" "$work/$name-encoder" "$name-from-alma" --set lr=5e-4 --set epochs=6 ;;
    minilm)
      if [ -n "${ALMA_MINILM:-}" ] && [ "$name" != cold ]; then
        measure "$name" "$ALMA_MINILM" "$name-from-minilm"
        measure "$name" "$ALMA_MINILM" "$name-from-minilm-frozen" --freeze-body --set lr=3e-3 --set epochs=3
      fi ;;
    esac
  done
done
