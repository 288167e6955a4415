"""Writes dense.vectors.json: the vectors of dense.texts.jsonl by the model in the
folder dense, with all of its modules, in numpy and float64.

    python dense.py

The model is a BERT of random weights (Devlin et al. 2019, as transformers' BertModel
lays it out); tokens come from PyPI's tokenizers.
"""
import json, math, os, struct
import numpy as np
from tokenizers import Tokenizer

here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.join(here, "dense")


def safetensors(path):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    return {k: np.frombuffer(data[8 + n:][slice(*v["data_offsets"])], "<f4").reshape(v["shape"]).astype(np.float64) for k, v in header.items() if k != "__metadata__"}


config = json.load(open(os.path.join(folder, "config.json")))
w = safetensors(os.path.join(folder, "model.safetensors"))
w = {k.removeprefix("bert."): v for k, v in w.items()}
heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
linear = lambda x, name: x @ w[name + ".weight"].T + w[name + ".bias"]
gelu = lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def norm(x, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + config["layer_norm_eps"])
    return x * w[name + ".weight"] + w[name + ".bias"]


def hidden(ids):
    t = len(ids)
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:t] + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for i in range(layers):
        h = f"encoder.layer.{i}."
        q, k, v = (linear(x, h + "attention.self." + n).reshape(t, heads, -1).transpose(1, 0, 2) for n in ("query", "key", "value"))
        s = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        s = np.exp(s - s.max(-1, keepdims=True))
        o = (s / s.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(t, -1)
        x = norm(x + linear(o, h + "attention.output.dense"), h + "attention.output.LayerNorm")
        x = norm(x + linear(gelu(linear(x, h + "intermediate.dense")), h + "output.dense"), h + "output.LayerNorm")
    return x


dense = safetensors(os.path.join(folder, "2_Dense", "model.safetensors"))
tok = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
vectors = []
for line in open(os.path.join(here, "dense.texts.jsonl")):
    mean = hidden(tok.encode(json.loads(line)["text"]).ids).mean(0)
    v = np.tanh(dense["linear.weight"] @ mean + dense["linear.bias"])
    vectors.append(list(v / np.linalg.norm(v)))
json.dump(vectors, open(os.path.join(here, "dense.vectors.json"), "w"))
