"""Fills pretokenizers.json with the pieces of PyPI's tokenizers (0.23.3).

usage: pretokenizers.py pretokenizers.json

The file lists texts, and pre-tokenizers as tokenizer.json writes them; for each this
puts "pieces": of each text the lengths in bytes, in tokens of one byte, of its pieces,
or the pieces themselves where text is taken away.
"""
import json
import sys

from tokenizers import Tokenizer
from tokenizers.models import BPE

data = json.load(open(sys.argv[1], encoding="utf-8"))
frame = json.loads(Tokenizer(BPE()).to_str())
for row in data["pre_tokenizers"]:
    frame["pre_tokenizer"] = row["pre_tokenizer"]
    pre = Tokenizer.from_str(json.dumps(frame)).pre_tokenizer
    row["pieces"] = []
    for text in data["texts"]:
        pieces = [piece for piece, _ in pre.pre_tokenize_str(text)]
        # Behind ByteLevel each character is a byte.
        row["pieces"].append(pieces if row.get("removes") else " ".join(str(len(piece)) for piece in pieces))
with open(sys.argv[1], "w", encoding="utf-8") as f:
    json.dump(data, f, ensure_ascii=True, indent=None, separators=(",", ":"))
    f.write("\n")
print(len(data["pre_tokenizers"]), "pre-tokenizers,", len(data["texts"]), "texts")
