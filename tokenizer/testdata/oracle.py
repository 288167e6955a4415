"""What other people's software makes of our inputs.

Reads a JSON request from standard input and writes a JSON answer to standard
output. The cuts are those of the published regular expression as PyPI's regex
matches it; training, ids and text are those of PyPI's tokenizers.
"""

import json
import sys

import regex
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

CUTS = regex.compile(
    r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
)


def train(request):
    t = tokenizers.Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=request["vocab_size"],
        min_frequency=2,
        special_tokens=request["special_tokens"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    t.train_from_iterator(request["docs"], trainer)
    return t


def answer(request):
    out = {"versions": {m.__name__: m.__version__ for m in (tokenizers, regex)}}
    if "train" in request:
        t = train(request["train"])
        out["tokenizer"] = t.to_str(pretty=True)
    else:
        t = tokenizers.Tokenizer.from_str(request["tokenizer"])

    out["texts"] = []
    for text in request["texts"]:
        ids = t.encode(text, add_special_tokens=False).ids
        half = ids[: len(ids) // 2]
        out["texts"].append(
            {
                "text": text,
                "pieces": CUTS.findall(text),
                "ids": ids,
                "half": t.decode(half, skip_special_tokens=True),
            }
        )
    return out


json.dump(answer(json.load(sys.stdin)), sys.stdout)
