"""Measures perplexity with PyTorch and transformers in float32, with the windows
and the counting of llama.cpp's tool and of alma eval perplexity.

    python perplexity.py FOLDER FILE [--context N] [--max-tokens N]
"""

import argparse
import json
import math

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("folder"), parser.add_argument("file")
parser.add_argument("--context", type=int, default=512)
parser.add_argument("--max-tokens", type=int, default=0)
args = parser.parse_args()

with open(args.file, encoding="utf-8", newline="") as f:
    text = f.read()
text = text[:-1] if text.endswith("\n") else text
tokenizer = AutoTokenizer.from_pretrained(args.folder)
model = AutoModelForCausalLM.from_pretrained(args.folder, dtype=torch.float32).eval()
tokens = tokenizer(text)["input_ids"]
if args.max_tokens:
    tokens = tokens[: args.max_tokens]
n, first = args.context, args.context // 2
bos = tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id
total, count = 0.0, 0
with torch.inference_mode():
    for start in range(0, len(tokens) - n + 1, n):
        chunk = torch.tensor(tokens[start : start + n])
        fed = chunk.clone()
        if bos:
            fed[0] = tokenizer.bos_token_id
        logits = model(fed[None]).logits[0, first : n - 1].double()
        total += torch.nn.functional.cross_entropy(logits, chunk[first + 1 :], reduction="sum").item()
        count += n - 1 - first
print(json.dumps({"perplexity": math.exp(total / count), "tokens": count}))
