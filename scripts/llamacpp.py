"""llama.cpp as it lies in the wheel xllamacpp, for comparing with alma.

    pip install xllamacpp numpy
    python llamacpp.py perplexity MODEL.gguf FILE [--context N] [--max-tokens N]
    python llamacpp.py logits MODEL.gguf OUT.f32 TOKEN TOKEN ...
    python llamacpp.py greedy MODEL.gguf N TEXT
    python llamacpp.py tokens MODEL.gguf FILE
    python llamacpp.py rounding QUANTISED.gguf FLOAT.gguf N TEXT

The wheel has no binding for logits, but its library exports llama.cpp's C
functions. Those that take structures take them by value, on the stack, where a
block that is larger than the structure does no harm: so nothing here depends on
their sizes, and of their members only the first three of the context are set
(and the types of the cache, whose place is checked before).
"""

import argparse
import ctypes
import json
import math
import os
import sys

import numpy as np
import xllamacpp


class Block(ctypes.Structure):
    """A structure of llama.cpp, at least as large."""

    _fields_ = [("words", ctypes.c_uint64 * 128)]

    def int32(self):
        return ctypes.cast(ctypes.pointer(self), ctypes.POINTER(ctypes.c_int32))


class Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


def library():
    folder = os.path.dirname(xllamacpp.__file__)
    (name,) = [n for n in os.listdir(folder) if n.startswith("xllamacpp.") and n.endswith(".so")]
    lib = ctypes.CDLL(os.path.join(folder, name))
    for name, result in {
        "llama_model_default_params": Block,
        "llama_context_default_params": Block,
        "llama_model_load_from_file": ctypes.c_void_p,
        "llama_init_from_model": ctypes.c_void_p,
        "llama_model_get_vocab": ctypes.c_void_p,
        "llama_get_memory": ctypes.c_void_p,
        "llama_batch_init": Batch,
        "llama_vocab_get_add_bos": ctypes.c_bool,
        "llama_get_logits_ith": ctypes.POINTER(ctypes.c_float),
    }.items():
        getattr(lib, name).restype = result
    return lib


# The place of type_k and type_v in llama_context_params, in int32, and ggml's
# numbers for float32 and float16.
CACHE_TYPES, F32, F16 = 26, 0, 1


class Model:
    def __init__(self, path, context):
        self.lib = lib = library()
        lib.llama_backend_init()
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(self.log)
        lib.llama_log_set(self.quiet, None)
        self.lines = []
        self.model = ctypes.c_void_p(lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params()))
        if not self.model:
            sys.exit("llama.cpp cannot open %s:\n%s" % (path, "".join(self.lines[-12:])))
        params = lib.llama_context_default_params()
        ints = params.int32()
        ints[0] = ints[1] = ints[2] = context
        if ints[CACHE_TYPES] == F16 and ints[CACHE_TYPES + 1] == F16:
            ints[CACHE_TYPES] = ints[CACHE_TYPES + 1] = F32
        self.ctx = ctypes.c_void_p(lib.llama_init_from_model(self.model, params))
        if not self.ctx:
            sys.exit("llama.cpp cannot make a context for %s:\n%s" % (path, "".join(self.lines[-12:])))
        threads = min(2, os.cpu_count() or 1)
        lib.llama_set_n_threads(self.ctx, threads, threads)
        self.vocab = ctypes.c_void_p(lib.llama_model_get_vocab(self.model))
        self.size = lib.llama_vocab_n_tokens(self.vocab)
        self.context = context
        self.batch = lib.llama_batch_init(context, 0, 1)

    def log(self, level, text, _):
        self.lines.append(text.decode(errors="replace"))

    def tokens(self, text, special=False):
        data = text.encode()
        ids = (ctypes.c_int32 * (len(data) + 8))()
        n = self.lib.llama_tokenize(self.vocab, data, len(data), ids, len(ids), True, special)
        if n < 0:
            sys.exit("llama.cpp cannot tokenise the text")
        return list(ids[:n])

    def logits(self, tokens, first=0):
        """The logits [len(tokens) - first, V] of the positions from first on."""
        self.lib.llama_memory_clear(ctypes.c_void_p(self.lib.llama_get_memory(self.ctx)), True)
        b = self.batch
        b.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, i, 1, i >= first
            b.seq_id[i][0] = 0
        if self.lib.llama_decode(self.ctx, b) != 0:
            sys.exit("llama.cpp cannot decode")
        rows = [np.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.ctx, i), (self.size,)).copy() for i in range(first, len(tokens))]
        return np.stack(rows)


def perplexity(args):
    """What llama.cpp's own tool does: see docs of alma eval perplexity --help."""
    with open(args.file, encoding="utf-8", newline="") as f:
        text = f.read()
    text = text[:-1] if text.endswith("\n") else text
    m = Model(args.model, args.context)
    tokens = m.tokens(text)
    if args.max_tokens:
        tokens = tokens[: args.max_tokens]
    add_bos = m.lib.llama_vocab_get_add_bos(m.vocab)
    n, first = args.context, args.context // 2
    total, count = 0.0, 0
    for start in range(0, len(tokens) - n + 1, n):
        chunk = tokens[start : start + n]
        fed = [m.lib.llama_vocab_bos(m.vocab)] + chunk[1:] if add_bos else chunk
        logits = m.logits(fed, first)[:-1].astype(np.float64)
        top = logits.max(axis=1)
        logsum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        total += (logsum - logits[np.arange(len(logits)), chunk[first + 1 :]]).sum()
        count += len(logits)
    if not count:
        sys.exit("the text has %d tokens, fewer than a window of %d" % (len(tokens), n))
    print(json.dumps({"perplexity": math.exp(total / count), "tokens": count, "windows": count // (n - 1 - first), "text_tokens": len(tokens)}))


def likeliest(m, tokens, n):
    """The n tokens that follow if each is the likeliest."""
    new = []
    for _ in range(n):
        new.append(int(m.logits(tokens + new, len(tokens) + len(new) - 1)[0].argmax()))
    return new


def greedy(args):
    m = Model(args.model, 512)
    tokens = m.tokens(args.text)
    print(json.dumps({"prompt": tokens, "tokens": likeliest(m, tokens, args.n)}))


def rounding(args):
    """What it changes that llama.cpp rounds to 8 bits what it multiplies with quantised
    weights: FLOAT holds the weights of QUANTISED as float32, where it does not.

    It writes the greedy tokens of both, and where they part, at "first": by how much the
    float32 logit of FLOAT's token is above that of QUANTISED's ("gap"), and how far
    rounding moves the difference of two logits of one position ("spread"): the root mean
    square over the positions before and all tokens.
    """
    a, b = Model(args.model, 512), Model(args.float, 512)
    tokens = a.tokens(args.text)
    assert tokens == b.tokens(args.text)
    x, y = likeliest(a, tokens, args.n), likeliest(b, tokens, args.n)
    first = next((i for i in range(args.n) if x[i] != y[i]), None)
    common = tokens + x[: args.n if first is None else first]
    p, q = a.logits(common), b.logits(common)
    moved = (p - q).astype(np.float64)
    spread = math.sqrt(2) * moved.std(axis=1)
    out = {"prompt": tokens, "rounded": x, "float": y, "first": first, "spread": math.sqrt((spread**2).mean())}
    if first is not None:
        out["gap"] = float(q[-1][y[first]] - q[-1][x[first]])
    print(json.dumps(out))


def main():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    p = verbs.add_parser("perplexity")
    p.add_argument("model"), p.add_argument("file")
    p.add_argument("--context", type=int, default=512)
    p.add_argument("--max-tokens", type=int, default=0)
    p.set_defaults(run=perplexity)
    p = verbs.add_parser("logits")
    p.add_argument("model"), p.add_argument("out"), p.add_argument("tokens", type=int, nargs="+")
    p.set_defaults(run=lambda a: Model(a.model, len(a.tokens)).logits(a.tokens).astype(np.float32).tofile(a.out))
    p = verbs.add_parser("greedy")
    p.add_argument("model"), p.add_argument("n", type=int), p.add_argument("text")
    p.set_defaults(run=greedy)
    p = verbs.add_parser("tokens")
    p.add_argument("model"), p.add_argument("file")
    p.set_defaults(run=lambda a: print(json.dumps(Model(a.model, 32).tokens(open(a.file, encoding="utf-8", newline="").read()))))
    p = verbs.add_parser("rounding")
    p.add_argument("model"), p.add_argument("float"), p.add_argument("n", type=int), p.add_argument("text")
    p.set_defaults(run=rounding)
    args = parser.parse_args()
    args.run(args)


main()
