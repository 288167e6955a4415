"""Prints accuracy and macro-F1 of TF-IDF with logistic regression (scikit-learn).

    python scripts/classify-baseline.py TRAIN TEST TEXT_COLUMN LABEL_COLUMN

Words and pairs of words; for Chinese, which has no spaces, one to three characters.
"""
import csv
import sys

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline


def read(path):
    with open(path, encoding="utf-8-sig", newline="") as f:
        rows = csv.DictReader(f) if path.endswith(".csv") else csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        rows = list(rows)
    return [r[sys.argv[3]] for r in rows], [r[sys.argv[4]] for r in rows]


texts, labels = read(sys.argv[1])
test, truth = read(sys.argv[2])
chinese = sum("\u4e00" <= c <= "\u9fff" for t in texts[:100] for c in t) > 100
features = dict(analyzer="char", ngram_range=(1, 3)) if chinese else dict(ngram_range=(1, 2))
model = make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2, **features), LogisticRegression(C=10, max_iter=1000))
said = model.fit(texts, labels).predict(test)
name = sys.argv[1].rsplit("/", 1)[-1].split("-")[0]
print(f"{name}-tfidf: accuracy {accuracy_score(truth, said):.4f}, macro-F1 {f1_score(truth, said, average='macro'):.4f} on {len(test)} texts, {len(texts)} learned")
