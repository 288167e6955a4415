"""Makes the folders beside it and expected.json: what transformers 5.24.0 (with
tokenizers 0.23.3, protobuf, without torch) takes from tokenizer files that stand
beside a vocabulary.

    python make.py SENTENCEPIECE_MODEL TOKENIZER_JSON

The first is a SentencePiece BPE model of 340 pieces, the second a byte-level BPE
tokenizer.json of some 280 tokens whose added tokens include <|eot_id|>.
"""
import json, os, shutil, sys
from transformers import AutoTokenizer

here = os.path.dirname(os.path.abspath(__file__))
spm, bpe = sys.argv[1:]
bpe = json.load(open(bpe))
texts = ["<|im_start|>user\nhello<|im_end|>", "hello", " hello", "a  b<|im_end|> c", "x<|eot_id|>y 12 z"]


def token(content, special=True):
    return {"content": content, "lstrip": False, "normalized": not special, "rstrip": False, "single_word": False, "special": special}


llama = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}
decoder = {"340": token("<|im_end|>"), "341": token("<|im_start|>")}
own = {"<|im_start|>": 341, "<|im_end|>": 340}
vocab = bpe["model"]["vocab"]
merges = "#version: 0.2\n" + "".join((m if isinstance(m, str) else " ".join(m)) + "\n" for m in bpe["model"]["merges"])
plain = {w: i for w, i in vocab.items() if not w.startswith("<|")}
n = max(plain.values()) + 1
gpt2 = {"tokenizer_class": "GPT2Tokenizer", "unk_token": None, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>",
        "added_tokens_decoder": {str(n): token("<|im_start|>"), str(n + 1): token("<|im_end|>")}}
folders = {
    "spm-decoder": {"tokenizer.model": spm, "tokenizer_config.json": {**llama, "added_tokens_decoder": decoder}, "added_tokens.json": {"<|other|>": 340}},
    "spm-added": {"tokenizer.model": spm, "tokenizer_config.json": llama, "added_tokens.json": own,
                  "special_tokens_map.json": {"eos_token": {**token("<|im_end|>"), "special": True}, "additional_special_tokens": ["<|im_start|>"]}},
    "spm-legacy": {"tokenizer.model": spm, "tokenizer_config.json": {**llama, "legacy": True, "added_tokens_decoder": decoder}},
    "spm-no-prefix": {"tokenizer.model": spm, "tokenizer_config.json": {**llama, "add_prefix_space": False, "add_bos_token": False, "added_tokens_decoder": decoder}},
    "map-only": {"tokenizer.json": bpe, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}, "special_tokens_map.json": {"eos_token": "<|eot_id|>"}},
    "map-first": {"tokenizer.json": bpe, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end_of_text|>"}, "special_tokens_map.json": {"eos_token": "<|eot_id|>"}},
    "gpt2-files": {"vocab.json": plain, "merges.txt": merges, "tokenizer_config.json": gpt2},
    "gpt2-prefix": {"vocab.json": plain, "merges.txt": merges, "tokenizer_config.json": {**gpt2, "add_prefix_space": True}},
    "qwen2-files": {"vocab.json": plain, "merges.txt": merges, "tokenizer_config.json": {**gpt2, "tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "add_prefix_space": False}},
}
expected = {}
for name, files in folders.items():
    folder = os.path.join(here, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for file, content in files.items():
        path = os.path.join(folder, file)
        if file == "tokenizer.model":
            shutil.copy(content, path)
        else:
            open(path, "w").write(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False))
    t = AutoTokenizer.from_pretrained(folder)
    expected[name] = {"eos": t.eos_token_id, "size": len(t), "ids": [t.encode(text) for text in texts]}
json.dump({"texts": texts, "folders": expected}, open(os.path.join(here, "expected.json"), "w"), indent=1)
