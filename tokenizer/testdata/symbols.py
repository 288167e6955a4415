"""Trains symbols.model and writes symbols.json, the ids of texts, with sentencepiece 0.2.3.

usage: symbols.py FOLDER    (which holds corpus.txt)
"""
import json
import pathlib
import sys

import sentencepiece

folder = pathlib.Path(sys.argv[1])
rules = folder / "symbols.tsv"  # a line end is a space, ① is 1
rules.write_text("A\t20\n2460\t31\n2461\t32\n")
sentencepiece.SentencePieceTrainer.train(
    input=str(folder / "corpus.txt"), model_prefix=str(folder / "symbols"), model_type="bpe", vocab_size=450, byte_fallback=True,
    user_defined_symbols=["<sep>", "<mask>", "\n", "①", "<se"], normalization_rule_tsv=str(rules), character_coverage=0.98,
    hard_vocab_limit=False, minloglevel=2, num_threads=1)
(folder / "symbols.vocab").unlink()
rules.unlink()
p = sentencepiece.SentencePieceProcessor(model_file=str(folder / "symbols.model"))
texts = ["the ship", "<sep>the<sep> ship <sep>", "x<mask>y", "a\nb\n\nc", "① 1 ②", "<se<sep>", "a b c", "  two  <sep>  spaces  ", "\nnew", "", " ", "na<mask> <mask>ve", "<s> </s> <unk>", "船到了\n港口"]
(folder / "symbols.json").write_text(json.dumps([{"text": t, "ids": p.encode(t)} for t in texts]) + "\n")
