"""Makes adapters as PEFT saves them and what PEFT merges them to, with numpy.

usage: peft_merge.py PEFT OUT

PEFT is the folder "peft" of an unpacked wheel (0.21.2): its functions that match
modules (check_target_module_exists, get_pattern_key) are taken out of the source and
run as they are; the products follow tuners/lora/layer.py (get_delta_weight of Linear
and Embedding), utils/other.py (ModulesToSaveWrapper) and
tuners/trainable_tokens/layer.py. Needs numpy, no torch.

OUT (model/file/testdata/peft) gets tiny random models, base-*; a folder for each
adapter, with merged.safetensors, the weights of the model with it; and matches.json:
configurations, and the rank and alpha of each module that they adapt.
"""
import ast
import copy
import json
import math
import pathlib
import re
import sys
import zlib
from typing import Optional, Sequence, Union  # noqa: F401, for the functions taken

import numpy as np

source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def taken(path, names, scope):
    """Runs some functions and classes of a file of PEFT's."""
    tree = ast.parse((source / path).read_text())
    for node in tree.body:
        if getattr(node, "name", "") in names:
            exec(compile(ast.Module([node], []), path, "exec"), scope)


scope = {"re": re, "Optional": Optional, "Sequence": Sequence, "Union": Union, "__name__": "peft_rules"}
taken("utils/other.py", {"match_target_against_key", "get_pattern_key"}, scope)
taken("tuners/tuners_utils.py", {"_ExcludedModule", "check_target_module_exists"}, scope)


class Config:
    """A LoraConfig as check_target_module_exists reads it."""

    def __init__(self, keys):
        self.target_parameters = None
        for key in ("exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern"):
            setattr(self, key, keys.get(key))
        self.target_modules = keys["target_modules"]


def adapted(keys, modules, linear, head):
    """The modules that a configuration adapts, with rank and alpha."""
    keys = copy.deepcopy(keys)
    if isinstance(keys["target_modules"], str) and keys["target_modules"].lower() == "all-linear":
        keys["target_modules"] = [name for name in linear if name != head]
    config, found = Config(keys), {}
    for name in modules:
        if scope["check_target_module_exists"](config, name):
            ranks, alphas = keys.get("rank_pattern") or {}, keys.get("alpha_pattern") or {}
            rank = ranks.get(scope["get_pattern_key"](ranks.keys(), name), keys["r"])
            alpha = alphas.get(scope["get_pattern_key"](alphas.keys(), name), keys["lora_alpha"])
            found[name] = [rank, alpha]
    return found


def save(path, tensors):
    header, data = {}, b""
    for name in sorted(tensors):
        values = np.ascontiguousarray(tensors[name], dtype="<f4")
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def rng(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


V, D, F, L = 11, 8, 12, 2


def llama(kind):
    shapes = {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,), "lm_head.weight": (V, D)}
    for i in range(L):
        h = f"model.layers.{i}."
        shapes |= {
            h + "input_layernorm.weight": (D,), h + "post_attention_layernorm.weight": (D,),
            h + "self_attn.q_proj.weight": (D, D), h + "self_attn.k_proj.weight": (D // 2, D),
            h + "self_attn.v_proj.weight": (D // 2, D), h + "self_attn.o_proj.weight": (D, D),
            h + "mlp.gate_proj.weight": (F, D), h + "mlp.up_proj.weight": (F, D), h + "mlp.down_proj.weight": (D, F),
        }
        if kind == "qwen2":
            for part, n in ("q_proj", D), ("k_proj", D // 2), ("v_proj", D // 2):
                shapes[h + f"self_attn.{part}.bias"] = (n,)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": V, "hidden_size": D, "num_hidden_layers": L,
        "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": F, "max_position_embeddings": 32,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": kind == "llama-tied",
    }
    if kind == "qwen2":
        config |= {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}
    return config, shapes


def gpt2(kind):
    shapes = {"transformer.wte.weight": (V, D), "transformer.wpe.weight": (16, D), "lm_head.weight": (V, D),
              "transformer.ln_f.weight": (D,), "transformer.ln_f.bias": (D,)}
    for i in range(L):
        h = f"transformer.h.{i}."
        for part, a, b in ("attn.c_attn", D, 3 * D), ("attn.c_proj", D, D), ("mlp.c_fc", D, F), ("mlp.c_proj", F, D):
            shapes |= {h + part + ".weight": (a, b), h + part + ".bias": (b,)}
        for norm in "ln_1", "ln_2":
            shapes |= {h + norm + ".weight": (D,), h + norm + ".bias": (D,)}
    return {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": V, "n_positions": 16, "n_embd": D,
            "n_layer": L, "n_head": 2, "n_inner": F, "tie_word_embeddings": True}, shapes


def bert(kind):
    e = "bert.embeddings."
    shapes = {e + "word_embeddings.weight": (V, D), e + "position_embeddings.weight": (16, D), e + "token_type_embeddings.weight": (2, D),
              e + "LayerNorm.weight": (D,), e + "LayerNorm.bias": (D,)}
    linear = [("bert.pooler.dense", D, D), ("classifier", D, 3)]
    for i in range(L):
        h = f"bert.encoder.layer.{i}."
        linear += [(h + "attention.self." + part, D, D) for part in ("query", "key", "value")]
        linear += [(h + "attention.output.dense", D, D), (h + "intermediate.dense", D, F), (h + "output.dense", F, D)]
        for norm in "attention.output.LayerNorm", "output.LayerNorm":
            shapes |= {h + norm + ".weight": (D,), h + norm + ".bias": (D,)}
    for name, a, b in linear:
        shapes |= {name + ".weight": (b, a), name + ".bias": (b,)}
    return {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": V, "hidden_size": D,
            "num_hidden_layers": L, "num_attention_heads": 2, "intermediate_size": F, "max_position_embeddings": 16,
            "type_vocab_size": 2, "hidden_act": "gelu", "id2label": {"0": "a", "1": "b", "2": "c"}}, shapes


bases = {}
for kind, make in {"llama": llama, "llama-tied": llama, "qwen2": llama, "gpt2": gpt2, "bert": bert}.items():
    config, shapes = make(kind)
    weights = {name: rng(kind + name).normal(0, 0.3, shape).astype("f4") for name, shape in shapes.items()}
    stored = dict(weights)
    if config.get("tie_word_embeddings"):
        weights["lm_head.weight"] = weights[next(n for n in weights if n.endswith(("embed_tokens.weight", "wte.weight")))]
        del stored["lm_head.weight"]
    folder = out / ("base-" + kind)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save(folder / "model.safetensors", stored)
    bases[kind] = config, weights

EMBEDDINGS = ("embed_tokens", "wte", "wpe", "word_embeddings", "position_embeddings", "token_type_embeddings")


def layers_of(kind):
    """All modules, the linear ones and the head, by name."""
    _, weights = bases[kind]
    names = {name.rpartition(".")[0] for name in weights}
    linear = {n for n in names if weights[n + ".weight"].ndim == 2 and n.rpartition(".")[2] not in EMBEDDINGS}
    for name in list(names):
        while "." in name:
            name = name.rpartition(".")[0]
            names.add(name)
    return sorted(names), sorted(linear), "classifier" if kind == "bert" else "lm_head"


DEFAULT = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 5, "target_modules": ["q_proj", "v_proj"],
           "bias": "none", "modules_to_save": None, "rank_pattern": {}, "alpha_pattern": {}, "peft_version": "0.21.2"}


def adapter(name, kind, grown=0, bare=False, base_layer=False, **keys):
    """An adapter of random numbers and the weights that come of it."""
    config = DEFAULT | {"base_model_name_or_path": "base-" + kind} | keys
    model, weights = bases[kind]
    merged = {n: w.copy() for n, w in weights.items()}
    tied = model.get("tie_word_embeddings", False)
    saved, random = {}, rng(name)
    modules, linear, head = layers_of(kind)
    embedding = next(n for n in modules if n.endswith(("embed_tokens", "wte", "word_embeddings")))
    together = tied and config.get("ensure_weight_tying")
    if grown:  # resize_token_embeddings: both modules have more rows than the model on disk
        for n in {embedding, head}:
            merged[n + ".weight"] = random.normal(0, 0.3, (V + grown, D)).astype("f4")
            if not config["modules_to_save"]:
                saved[n + ".weight"] = merged[n + ".weight"]
        if tied:
            merged[head + ".weight"] = merged[embedding + ".weight"]
            if not config["modules_to_save"]:
                saved[head + ".weight"] = merged[embedding + ".weight"]
    for module in modules:
        if any(module.endswith(whole) for whole in config["modules_to_save"] or []):
            for n in [n for n in merged if n.startswith(module + ".")]:
                merged[n] = random.normal(0, 0.3, merged[n].shape).astype("f4")
                saved[n] = merged[n]
    if together and embedding + ".weight" in saved:
        merged[head + ".weight"] = saved[head + ".weight"] = saved[embedding + ".weight"]
    rows = config.get("trainable_token_indices")
    if rows:
        for module, ids in (rows if isinstance(rows, dict) else {embedding.rpartition(".")[2]: rows}).items():
            module = next(n for n in modules if n.endswith(module))
            delta = random.normal(0, 0.3, (len(ids), D)).astype("f4")
            saved[module + ".token_adapter.trainable_tokens_delta"] = delta
            merged[module + ".weight"][ids] = delta
            if tied and not isinstance(rows, dict):
                merged[head + ".weight"][ids] = delta
    found = adapted(config, modules, linear, head)
    for module, (rank, alpha) in found.items():
        w = merged[module + ".weight"]
        scaling = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
        lookup = module.rpartition(".")[2] in EMBEDDINGS
        conv = kind == "gpt2" and module != head and not lookup
        first, second = (w.shape[0], w.shape[1]) if lookup or conv else (w.shape[1], w.shape[0])
        a = random.normal(0, 0.3, (rank, first)).astype("f4")
        b = random.normal(0, 0.3, (second, rank)).astype("f4")
        if base_layer and (lookup or module == head):
            saved[module + ".base_layer.weight"] = w.copy()
        delta = b.astype("f8") @ a.astype("f8") * scaling
        merged[module + ".weight"] = (w + (delta.T if lookup or conv else delta)).astype("f4")
        if together and module == embedding:
            merged[head + ".weight"] = merged[module + ".weight"]
            saved |= {head + ".lora_A.weight": b.T, head + ".lora_B.weight": a.T}
        part = ("lora_embedding_A", "lora_embedding_B") if lookup else ("lora_A.weight", "lora_B.weight")
        saved |= {f"{module}.{part[0]}": a, f"{module}.{part[1]}": b}
        if config["bias"] == "lora_only" and module + ".bias" in merged:
            merged[module + ".bias"] = random.normal(0, 0.3, merged[module + ".bias"].shape).astype("f4")
            saved[module + ".base_layer.bias"] = merged[module + ".bias"]
    if config["bias"] == "all":
        for n in [n for n in merged if n.endswith(".bias")]:
            merged[n] = random.normal(0, 0.3, merged[n].shape).astype("f4")
            saved[n.removesuffix("bias") + "base_layer.bias" if n.removesuffix(".bias") in found else n] = merged[n]
    if tied and np.array_equal(merged[head + ".weight"], merged[embedding + ".weight"]):
        del merged[head + ".weight"]
    folder = out / name
    folder.mkdir(exist_ok=True)
    prefix = model["model_type"] + "." if model["model_type"] == "bert" else "model."
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
    save(folder / "adapter_model.safetensors", {"base_model.model." + (n.removeprefix(prefix) if bare else n): w for n, w in saved.items()})
    save(folder / "merged.safetensors", merged)


adapter("rslora", "llama", use_rslora=True)
adapter("patterns", "llama", use_rslora=True, target_modules=["q_proj", "k_proj", "down_proj"],
        rank_pattern={"layers.1.self_attn.q_proj": 3, "^model.layers.0.mlp.down_proj": 1, "q_proj": 4},
        alpha_pattern={r"layers\.\d+\.mlp\..*": 7.5, "k_proj": 2})
adapter("regex", "llama", target_modules=r".*\.(self_attn\.(q|k)_proj|mlp\.down_proj)")
adapter("exclude", "llama", target_modules="all-linear", exclude_modules=["layers.0.mlp.up_proj", "o_proj"])
adapter("layers", "llama", target_modules=["q_proj", "model.layers.0.mlp.up_proj"], layers_to_transform=[1], layers_pattern="layers")
adapter("ends", "llama", target_modules=["q_proj", "embed_tokens", "lm_head"], base_layer=True)
adapter("whole", "llama", modules_to_save=["embed_tokens", "lm_head", "norm"])
adapter("grown", "llama", grown=2)
adapter("grown-whole", "llama", grown=3, modules_to_save=["embed_tokens", "lm_head"])
adapter("rows", "llama", trainable_token_indices=[3, 10])
adapter("tied-embedding", "llama-tied", target_modules=["embed_tokens"])
adapter("tied-head", "llama-tied", target_modules=["v_proj", "lm_head"], base_layer=True)
adapter("tied-whole", "llama-tied", modules_to_save=["embed_tokens", "lm_head"])
adapter("tied-whole-together", "llama-tied", modules_to_save=["embed_tokens"], ensure_weight_tying=True)
adapter("tied-embedding-together", "llama-tied", target_modules=["embed_tokens", "o_proj"], ensure_weight_tying=True)
adapter("tied-grown", "llama-tied", grown=2)
adapter("tied-rows", "llama-tied", trainable_token_indices=[0, 7])
adapter("gpt2", "gpt2", target_modules=["c_attn", "c_proj", "wte", "wpe"], fan_in_fan_out=True, bias="all")
adapter("gpt2-own", "gpt2", target_modules=["mlp.c_fc", "lm_head"], fan_in_fan_out=True, bias="lora_only")
adapter("qwen2", "qwen2", target_modules="ALL-LINEAR", bias="all")
adapter("bert", "bert", task_type="SEQ_CLS", target_modules=["query", "dense"], modules_to_save=["classifier", "score"])
adapter("bert-body", "bert", task_type="FEATURE_EXTRACTION", target_modules=["value", "word_embeddings"], bare=True)

rows = []
for kind, keys in [
    ("llama", {"target_modules": ["q_proj"]}),
    ("llama", {"target_modules": ["self_attn.q_proj", "1.mlp.up_proj"]}),
    ("llama", {"target_modules": ["proj"]}),
    ("llama", {"target_modules": "q_proj"}),
    ("llama", {"target_modules": r".*q_proj"}),
    ("llama", {"target_modules": r"model\.layers\.[01]\.self_attn\.[qkvo]_proj"}),
    ("llama", {"target_modules": r".*\.\w{,6}_proj"}),
    ("llama", {"target_modules": r"(?i).*\.Q_PROJ"}),
    ("llama", {"target_modules": r"^.*layers\.(?P<n>\d)\.(?:mlp|self_attn)\.[^.]*_proj$"}),
    ("llama", {"target_modules": r"(?:.*?(?:model).*?(?:layers|h).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?(?:q_proj|k_proj|v_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:o_proj|down_proj)))"}),
    ("llama", {"target_modules": r"lm_head|.*embed_tokens\Z"}),
    ("llama", {"target_modules": "all-linear"}),
    ("llama", {"target_modules": "all-linear", "exclude_modules": r".*mlp.*"}),
    ("llama", {"target_modules": ["q_proj", "lm_head", "embed_tokens"], "modules_to_save": ["lm_head"]}),
    ("llama", {"target_modules": ["q_proj", "up_proj"], "modules_to_save": ["self_attn"]}),
    ("llama", {"target_modules": ["q_proj", "up_proj"], "exclude_modules": ["model.layers.0.self_attn.q_proj"]}),
    ("llama", {"target_modules": ["q_proj"], "exclude_modules": r"model\.layers\.0\..*"}),
    ("llama", {"target_modules": ["q_proj"], "layers_to_transform": 0}),
    ("llama", {"target_modules": ["q_proj", "lm_head"], "layers_to_transform": [0, 1]}),
    ("llama", {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": ["h", "layers"]}),
    ("llama", {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": "h"}),
    ("llama", {"target_modules": ["q_proj"], "layers_to_transform": []}),
    ("llama", {"target_modules": ["q_proj", "k_proj", "v_proj"], "rank_pattern": {"q": 9, "q_proj": 3, ".*": 4}}),
    ("llama", {"target_modules": ["q_proj", "k_proj"], "rank_pattern": {"model.layers.0": 9, "layers.1.self_attn.q_proj": 3}}),
    ("llama", {"target_modules": ["q_proj", "k_proj"], "rank_pattern": {"q_proj|v_proj": 9}, "alpha_pattern": {"self_attn.k_proj": 1, "^layers.0.self_attn.q_proj": 2}}),
    ("llama", {"target_modules": ["q_proj", "k_proj"], "alpha_pattern": {"^model.layers.0.*": 3, "proj": 2, ".*_proj": 11}}),
    ("gpt2", {"target_modules": ["c_proj"], "layers_to_transform": [0]}),
    ("gpt2", {"target_modules": ["c_proj"], "layers_to_transform": [0], "layers_pattern": "h"}),
    ("gpt2", {"target_modules": ["attn.c_proj", "wte"], "rank_pattern": {"h.0.attn.c_proj": 6}}),
    ("gpt2", {"target_modules": "all-linear"}),
    ("bert", {"target_modules": ["dense"], "layers_to_transform": [1]}),
    ("bert", {"target_modules": ["dense"], "layers_to_transform": [1], "layers_pattern": "layer"}),
    ("bert", {"target_modules": r".*attention\.output\.dense|classifier"}),
    ("bert", {"target_modules": "all-linear", "modules_to_save": ["classifier"]}),
]:
    modules, linear, head = layers_of(kind)
    adaptable = [n for n in modules if n in linear or n.rpartition(".")[2] in EMBEDDINGS]
    keys = {"peft_type": "LORA", "r": 2, "lora_alpha": 5} | keys
    rows.append({"base": "base-" + kind, "config": keys, "adapted": adapted(keys, adaptable, linear, head)})
(out / "matches.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
print(f"{len(rows)} rows of matches")
