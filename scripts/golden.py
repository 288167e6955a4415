"""Writes golden folders: tiny random models of every family that alma opens,
each with what PyTorch's transformers computes from them, for `alma replay`.

    python3 scripts/golden.py evaluate/testdata/golden [NAME...]

needs torch, transformers and safetensors from PyPI. A folder holds config.json
and the weights as transformers saves them; forward.safetensors (input_ids,
labels, attention_mask and token_type_ids where there are such, logits, loss);
gradients.safetensors; golden.json (ten AdamW steps, a greedy continuation).
Everything is computed in float32 on one thread from the folder as transformers
opens it, so rounded weights and edited configurations count as they are read.
"""

import json
import os
import pathlib
import shutil
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")

import torch
import transformers
from safetensors.torch import save_file

LR, BETAS, EPS, DECAY, CLIP = 1e-3, (0.9, 0.95), 1e-8, 0.1, 1.0
STEPS, PROMPT, NEW = 10, 8, 24

# Sizes that divide nothing: odd heads, odd vocabularies, T below and above windows.
GPT2 = dict(vocab_size=61, n_positions=41, n_embd=33, n_layer=2, n_head=3, initializer_range=0.15,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None)
LLAMA = dict(vocab_size=67, max_position_embeddings=43, hidden_size=30, num_hidden_layers=2, num_attention_heads=5,
             num_key_value_heads=1, head_dim=6, intermediate_size=37, initializer_range=0.15,
             bos_token_id=None, eos_token_id=None, pad_token_id=None)
BERT = dict(vocab_size=71, max_position_embeddings=31, hidden_size=35, num_hidden_layers=2, num_attention_heads=5,
            intermediate_size=43, type_vocab_size=3, initializer_range=0.15, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, pad_token_id=0)
GEMMA = LLAMA | dict(vocab_size=59, num_hidden_layers=3, num_attention_heads=3, num_key_value_heads=3, head_dim=10,
                     query_pre_attn_scalar=7, sliding_window=4, rms_norm_eps=1e-5,
                     layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                     rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
                                      "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}})
ONE = {0: "points"}  # one output: a regression
LABELS = {0: "none", 1: "some", 2: "all"}


def old_rope(scaling):
    """config.json as transformers 4 wrote it: rope_theta beside rope_scaling."""
    def edit(config):
        rope = config.pop("rope_parameters")
        config["rope_theta"], config["rope_scaling"] = rope["rope_theta"], scaling
    return edit


def old_gemma(config):
    for key in ("rope_parameters", "layer_types"):
        config.pop(key)
    config.update(rope_theta=5000.0, rope_local_base_freq=50.0, sliding_window_pattern=2, rope_scaling={"rope_type": "linear", "factor": 8.0})


def smollm(config):
    old_rope(None)(config)
    config.update({"rope_interleaved": False, "is_llama_config": True, "transformers.js_config": {"dtype": "q4"}})


# name: (architecture, keys, options)
MODELS = {
    "gpt2-odd": ("GPT2LMHeadModel", GPT2, {}),
    "gpt2-erf-untied": ("GPT2LMHeadModel", GPT2 | dict(activation_function="gelu", n_inner=50, tie_word_embeddings=False), {}),
    "gpt2-classes": ("GPT2ForSequenceClassification", GPT2 | dict(pad_token_id=0, id2label=LABELS), {}),
    "llama3": ("LlamaForCausalLM", LLAMA | dict(attention_bias=True, mlp_bias=True, rope_parameters={
        "rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16}), {}),
    "llama3-old-keys": ("LlamaForCausalLM", LLAMA | dict(tie_word_embeddings=True), dict(edit=old_rope(
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 12}))),
    "llama-linear": ("LlamaForCausalLM", LLAMA | dict(num_key_value_heads=5), dict(edit=old_rope({"type": "linear", "factor": 3.0}))),
    "llama-f16-sharded": ("LlamaForCausalLM", LLAMA | dict(num_attention_heads=6, num_key_value_heads=2), dict(dtype=torch.float16, shard="20KB")),
    "llama-classes": ("LlamaForSequenceClassification", LLAMA | dict(pad_token_id=0, id2label=LABELS), {}),
    "llama-classes-left": ("LlamaForSequenceClassification", LLAMA | dict(pad_token_id=0, id2label=LABELS, num_key_value_heads=5), dict(left=True)),
    "llama-regression": ("LlamaForSequenceClassification", LLAMA | dict(pad_token_id=0, id2label=ONE), {}),
    "smollm2": ("LlamaForCausalLM", LLAMA | dict(num_attention_heads=3, head_dim=10, tie_word_embeddings=True), dict(edit=smollm)),
    "mistral": ("MistralForCausalLM", LLAMA | dict(num_attention_heads=6, num_key_value_heads=3, head_dim=8, sliding_window=5), {}),
    "mistral-classes": ("MistralForSequenceClassification", LLAMA | dict(sliding_window=4, pad_token_id=0, id2label=LABELS), {}),
    "qwen2": ("Qwen2ForCausalLM", {k: v for k, v in LLAMA.items() if k != "head_dim"} | dict(
        num_hidden_layers=3, use_sliding_window=True, sliding_window=4, max_window_layers=1), {}),
    "qwen2-bf16-sharded": ("Qwen2ForCausalLM", LLAMA | dict(tie_word_embeddings=True), dict(dtype=torch.bfloat16, shard="15KB")),
    "qwen3": ("Qwen3ForCausalLM", LLAMA | dict(num_attention_heads=3, num_key_value_heads=1, head_dim=14, attention_bias=True,
              use_sliding_window=True, sliding_window=6, layer_types=["sliding_attention", "full_attention"]), {}),
    "qwen3-classes": ("Qwen3ForSequenceClassification", LLAMA | dict(pad_token_id=0, id2label=LABELS), {}),
    "gemma3": ("Gemma3ForCausalLM", GEMMA, {}),
    "gemma3-old-keys": ("Gemma3ForCausalLM", GEMMA | dict(attention_bias=True, num_key_value_heads=1, tie_word_embeddings=False), dict(edit=old_gemma)),
    "gemma3-classes": ("Gemma3TextForSequenceClassification", GEMMA | dict(pad_token_id=0, id2label=LABELS), {}),
    "bert-mlm": ("BertForMaskedLM", BERT, {}),
    "bert-mlm-untied": ("BertForMaskedLM", BERT | dict(tie_word_embeddings=False, hidden_act="gelu_new"), {}),
    "bert-regression": ("BertForSequenceClassification", BERT | dict(id2label=ONE), {}),
    "bert-multilabel": ("BertForSequenceClassification", BERT | dict(id2label=LABELS, problem_type="multi_label_classification"), {}),
    "bert-one-token": ("BertForSequenceClassification", BERT | dict(id2label=LABELS), dict(length=1)),
    "bert-classes": ("BertForSequenceClassification", BERT | dict(id2label=LABELS), {}),
}


def build(folder, architecture, keys, edit=None, dtype=torch.float32, shard="1GB"):
    """Saves a random model whose biases and gains differ from 0 and 1 too."""
    cls = getattr(transformers, architecture)
    model = cls(cls.config_class(**keys))
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:
                p.add_(0.2 * torch.randn_like(p))
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    if edit:
        config = json.loads((folder / "config.json").read_text())
        edit(config)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    opened, info = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        sys.exit(f"{folder}: {info}")
    return opened.eval()


def batch(model, architecture, length=17, left=False):
    """A batch of awkward sizes, its padding on the right or on the left. Token 0
    is padding and nothing else, because torch gives an embedding's padding row no
    gradient."""
    rows = 3
    v = model.config.vocab_size
    inputs = {"input_ids": torch.randint(1, v, (rows, length))}
    causal = architecture.endswith(("ForCausalLM", "LMHeadModel"))
    if not causal:
        mask = torch.ones(rows, length, dtype=torch.long)
        mask[0, 11:] = 0
        mask[2, 16:] = 0
        if left:
            mask = mask.flip(1)
        inputs["input_ids"][mask == 0] = 0
        inputs["attention_mask"] = mask
    if architecture.startswith("Bert"):
        inputs["token_type_ids"] = torch.randint(0, model.config.type_vocab_size, (rows, length))
    if "SequenceClassification" in architecture:
        inputs["labels"] = torch.tensor([2, 0, 1])
        if model.config.num_labels == 1:
            inputs["labels"] = torch.tensor([0.5, -1.0, 2.0])
        elif model.config.problem_type == "multi_label_classification":
            inputs["labels"] = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    else:
        labels = inputs["input_ids"].clone()
        if causal:
            labels[1, 3:5] = -100
        else:
            labels[torch.rand(rows, length) > 0.3] = -100
            labels[mask == 0] = -100
            labels[:, 1] = inputs["input_ids"][:, 1]
        inputs["labels"] = labels
    return inputs, causal


def tensors_of(inputs, out):
    held = {k: (v if v.is_floating_point() else v.to(torch.int32)).contiguous() for k, v in inputs.items()}
    return held | {"logits": out.logits.detach().contiguous(), "loss": out.loss.detach().reshape(1)}


def write(folder, name):
    architecture, keys, options = MODELS[name]
    rows = {k: options[k] for k in ("length", "left") if k in options}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.manual_seed(sum(name.encode()))
    model = build(folder, architecture, keys, **{k: v for k, v in options.items() if k not in rows})
    inputs, causal = batch(model, architecture, **rows)
    greedy = None
    if causal:
        with torch.no_grad():
            greedy = model.generate(inputs["input_ids"][:1, :PROMPT], max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False,
                                    pad_token_id=0)[0].tolist()
    out = model(**inputs)
    out.loss.backward()
    save_file(tensors_of(inputs, out), folder / "forward.safetensors")
    save_file({n: p.grad.contiguous() for n, p in model.named_parameters() if p.grad is not None}, folder / "gradients.safetensors")
    model.zero_grad()
    groups = [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": DECAY},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    steps = []
    for i in range(STEPS):
        loss = model(**inputs).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        steps.append({"step": i, "loss": loss.item(), "grad_norm": norm.item()})
    rows, length = inputs["input_ids"].shape
    golden = {
        "kind": "causal" if causal else "classification" if "SequenceClassification" in architecture else "mlm",
        "B": rows, "T": length, "greedy": greedy,
        "adamw": {"lr": LR, "betas": BETAS, "eps": EPS, "clip_grad_norm": CLIP,
                  "weight_decay": "0.1 on tensors of two or more dimensions, 0 on the rest"},
        "steps": steps, "torch": torch.__version__, "transformers": transformers.__version__,
    }
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters, loss {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f}, {size >> 10} KiB")


torch.set_num_threads(1)
target = pathlib.Path(sys.argv[1])
for name in sys.argv[2:] or MODELS:
    write(target / name, name)
