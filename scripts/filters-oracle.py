"""Compares the verdicts of alma's filters with datatrove's on the same documents.

Arguments: the program corpus/filter/_oracle, a folder to work in, the folder of
shared data ("" if there is none), Go's GOROOT. Called by filters-oracle.sh.
"""

import collections
import gzip
import json
import pathlib
import re
import subprocess
import sys

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.formatters import PIIFormatter

oracle, work, shared, goroot = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])
ENOUGH = 0.995

# Our reason for each of theirs.
REASONS = {
    "gopher_short_doc": "gopher_quality: too few words",
    "gopher_long_doc": "gopher_quality: too many words",
    "gopher_below_avg_threshold": "gopher_quality: words too short",
    "gopher_above_avg_threshold": "gopher_quality: words too long",
    "gopher_too_many_hashes": "gopher_quality: too many # signs",
    "gopher_too_many_ellipsis": "gopher_quality: too many ellipses",
    "gopher_too_many_bullets": "gopher_quality: too many lines with bullets",
    "gopher_too_many_end_ellipsis": "gopher_quality: too many lines end with an ellipsis",
    "gopher_below_alpha_threshold": "gopher_quality: too few words with letters",
    "gopher_enough_stop_words": "gopher_quality: too few stop words",
    "dup_para_frac": "gopher_repetition: too many paragraphs again",
    "dup_para_char_frac": "gopher_repetition: too much text in paragraphs again",
    "dup_line_frac": "gopher_repetition: too many lines again",
    "dup_line_char_frac": "gopher_repetition: too much text in lines again",
    "lorem_ipsum": "c4: a phrase of no text",
    "curly_bracket": "c4: a phrase of no text",
    "too_few_sentences": "c4: too few sentences",
    "empty": "fineweb: too few lines end sentences",  # of white space alone
    "line_punct_ratio": "fineweb: too few lines end sentences",
    "short_line_ratio": "fineweb: too many short lines",
    "char_dup_ratio": "fineweb: too much text in lines again",
    "list_ratio": "fineweb: too many lines for its words",
}
for n in range(2, 5):
    REASONS[f"top_{n}_gram"] = f"gopher_repetition: one {n}-gram too often"
for n in range(5, 11):
    REASONS[f"duplicated_{n}_n_grams"] = f"gopher_repetition: too many {n}-grams again"


def documents():
    """Yields (source, text)."""
    for path in sorted((goroot / "src").glob("*/*.go"))[:250:2]:  # comments of programs: lists, short lines, marks
        comment = "\n".join(line.lstrip()[2:].strip() for line in path.read_text().splitlines() if line.lstrip().startswith("//"))
        if comment:
            yield "comments of Go", comment
    if not shared:
        return
    root = pathlib.Path(shared)
    for path in sorted((root / "warc").rglob("*.wet")) + sorted((root / "warc").rglob("*.wet.gz")):
        data = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
        for record in data.split(b"WARC/1.0\r\n"):
            head, _, body = record.partition(b"\r\n\r\n")
            if b"WARC-Type: conversion" in head:
                yield "WET", body.decode("utf-8", "replace").strip()
    for name in ("test.txt", "valid.txt"):
        path = root / "wikitext-2" / name
        if path.exists():
            for article in re.split(r"\n (?== [^=])", path.read_text()):
                yield "wikitext-2", article
                yield "wikitext-2, beginnings", article[: 200 + len(article) % 400]
    for path in sorted((root / "hh-rlhf").glob("*.jsonl.gz")):
        for number, line in enumerate(gzip.open(path, "rt")):
            row = json.loads(line)
            text = row.get("chosen") or row.get("text") or ""
            if text and number < 500:
                yield "hh-rlhf", text.strip()
    path = root / "tinyshakespeare" / "input.txt"
    if path.exists():
        text = path.read_text()
        for at in range(0, len(text), 4000):
            yield "plays", text[at : at + 300 + at % 2500]
    for path in (root / "instruction-seeds").glob("self_instruct_*.jsonl"):
        for line in path.open():
            row = json.loads(line)
            yield "instructions", "\n".join(str(v) for v in row.values())
    path = root / "pii" / "generated_small.json"
    if path.exists():
        for row in json.loads(path.read_text()):
            yield "pii", row["full_text"]


sources, texts = zip(*documents())
lines = "".join(json.dumps({"text": t, "language": "en"}) + "\n" for t in texts)
ours = [json.loads(line) for line in subprocess.run([oracle], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout.splitlines()]
assert len(ours) == len(texts)
print(f"filters-oracle: {len(texts)} documents, {sum(len(t.encode()) for t in texts) / 1e6:.1f} MB: "
      + ", ".join(f"{n} {s}" for s, n in collections.Counter(sources).items()))

theirs = {
    "gopher_quality": GopherQualityFilter(),
    "gopher_repetition": GopherRepetitionFilter(),
    "c4": C4QualityFilter(filter_no_terminal_punct=False, min_num_sentences=3, min_words_per_line=5),
    "fineweb": FineWebQualityFilter(char_duplicates_ratio=0.1),
}
failed = False
examples = (work / "differences.jsonl").open("w")
their_texts = {}
total = collections.Counter()
for name, filter in theirs.items():
    rules = collections.Counter()
    same_verdict = same_reason = 0
    for i, text in enumerate(texts):
        document = Document(text=text, id=str(i))
        try:
            verdict = filter.filter(document)
            reason = "" if verdict is True else REASONS.get(verdict[1], verdict[1])
        except ZeroDivisionError:  # a text without words
            reason = "gopher_quality: too few words" if name == "gopher_quality" else "(datatrove divides by zero)"
        mine = ours[i][name]
        if name == "c4" and not mine and not reason and document.text != ours[i]["c4_text"]:
            mine = "(another text)"
        same_verdict += bool(mine) == bool(reason)
        same_reason += mine == reason
        if mine != reason:
            examples.write(json.dumps({"filter": name, "source": sources[i], "alma": mine, "datatrove": reason, "text": text[:3000]}, ensure_ascii=False) + "\n")
            rules[(mine or "kept", reason or "kept")] += 1
        total[reason or f"{name}: kept"] += 1
    share = same_verdict / len(texts)
    failed |= share < ENOUGH
    print(f"filters-oracle: {name}: the same verdict on {100 * share:.2f} %, for the same reason on {100 * same_reason / len(texts):.2f} %")
    for (mine, reason), n in rules.most_common():
        print(f"  {n:5d}  alma: {mine}; datatrove: {reason}")

pii = PIIFormatter(email_replacement="email@example.com", ip_replacement="192.0.2.1")
same = sum(pii.format(t) == ours[i]["personal_text"] for i, t in enumerate(texts))
failed |= same / len(texts) < ENOUGH
print(f"filters-oracle: personal: the same text left of {100 * same / len(texts):.2f} %")
for i, t in enumerate(texts):
    if pii.format(t) != ours[i]["personal_text"]:
        examples.write(json.dumps({"filter": "personal", "source": sources[i], "alma": ours[i]["personal_text"][:3000], "datatrove": pii.format(t)[:3000]}, ensure_ascii=False) + "\n")
print("filters-oracle: reasons seen: " + ", ".join(f"{r} {n}" for r, n in sorted(total.items())))
examples.close()
sys.exit(1 if failed else 0)
