"""Decoding and prefill in llama.cpp, through the server inside xllamacpp.

The model is GPT-2 124M with random weights, written as GGUF in fp32 or bf16.
"""

import concurrent.futures
import os
import random

import gguf
import numpy as np
import xllamacpp

from measure import flags, report
from models import Shape


def write_gguf(path: str, s: Shape, precision: str):
    """GPT-2 with a vocabulary of made-up words: what they spell is never read."""
    w = gguf.GGUFWriter(path + ".part", "gpt2")
    w.add_context_length(s.context)
    w.add_embedding_length(s.width)
    w.add_block_count(s.layers)
    w.add_feed_forward_length(s.feed_forward)
    w.add_head_count(s.heads)
    w.add_layer_norm_eps(1e-5)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list([f"t{i}" for i in range(s.vocab)])
    w.add_token_types([gguf.TokenType.NORMAL] * s.vocab)
    w.add_token_merges(["t 0"])
    w.add_eos_token_id(s.vocab - 1)
    w.add_bos_token_id(s.vocab - 1)
    rng = np.random.default_rng(0)

    def matrix(name, *shape):
        values = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
        if precision == "bf16":
            data = gguf.quants.quantize(values, gguf.GGMLQuantizationType.BF16)
            w.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            w.add_tensor(name, values)

    def vector(name, size, fill):
        w.add_tensor(name, np.full(size, fill, np.float32))

    matrix("token_embd.weight", s.vocab, s.width)
    w.add_tensor("position_embd.weight", rng.standard_normal((s.context, s.width), dtype=np.float32) * np.float32(0.02))
    for i in range(s.layers):
        for norm in ("attn_norm", "ffn_norm"):
            vector(f"blk.{i}.{norm}.weight", s.width, 1)
            vector(f"blk.{i}.{norm}.bias", s.width, 0)
        for name, out, inside in (
            ("attn_qkv", 3 * s.width, s.width), ("attn_output", s.width, s.width),
            ("ffn_up", s.feed_forward, s.width), ("ffn_down", s.width, s.feed_forward),
        ):
            matrix(f"blk.{i}.{name}.weight", out, inside)
            vector(f"blk.{i}.{name}.bias", out, 0)
    vector("output_norm.weight", s.width, 1)
    vector("output_norm.bias", s.width, 0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(path + ".part", path)


def main():
    p = flags(__doc__)
    p.add_argument("--models", required=True, help="folder that GGUF files are kept in")
    o = p.parse_args()
    s = Shape.named(o.model, o.vocab, o.seq + o.new)
    path = os.path.join(o.models, f"{o.model}-{o.vocab}-{o.precision}.gguf")
    if not os.path.exists(path):
        write_gguf(path, s, o.precision)
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = o.threads
    params.n_parallel, params.n_ctx = o.batch, o.batch * 1024
    params.n_batch = params.n_ubatch = max(512, o.batch * o.seq)
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.cache_prompt = params.cont_batching = params.warmup = True
    params.cache_ram_mib, params.n_gpu_layers = 0, 0
    params.port = 0
    server = xllamacpp.Server(params)
    random.seed(0)
    reading, writing = [], []

    def complete(prompt):
        return server.handle_completions({
            "prompt": prompt, "n_predict": o.new, "ignore_eos": True, "cache_prompt": False,
            "temperature": 0, "samplers": ["top_k"], "top_k": 1, "return_tokens": True,
        })

    with concurrent.futures.ThreadPoolExecutor(o.batch) as pool:
        for i in range(o.steps + 1):
            prompts = [[random.randrange(s.vocab - 1) for _ in range(o.seq)] for _ in range(o.batch)]
            timings = [r["timings"] for r in pool.map(complete, prompts)]
            for t in timings:
                if t["prompt_n"] != o.seq or t["predicted_n"] != o.new:
                    raise SystemExit(f"llama.cpp read {t['prompt_n']} and wrote {t['predicted_n']} tokens, not {o.seq} and {o.new}")
            if i > 0:
                reading.append(max(t["prompt_ms"] for t in timings) / 1e3)
                # The sequences step side by side; the last to begin had none waiting for it.
                writing.append(min(t["predicted_ms"] for t in timings) / 1e3 / max(1, o.new - 1))
    if o.work == "prefill":
        report(reading, o.batch * o.seq)
    else:
        report(writing, o.batch)


main()
