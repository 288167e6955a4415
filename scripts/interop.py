"""Opens model folders that alma wrote with transformers and writes what it computes.

usage: interop.py FOLDER...

Each folder holds config.json, model.safetensors, the tokenizer's files and
probe.json with "ids" (one row of tokens) and "text". Beside them this writes
transformers.safetensors: logits [T, V] of the ids (of a classifier [C], of a
body its hidden states [T, D]), from a causal model greedy (16 tokens after
them), and text_ids (the text's tokens by AutoTokenizer).
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

torch.set_num_threads(1)
print(f"torch {torch.__version__}, transformers {transformers.__version__}")
for name in sys.argv[1:]:
    folder = pathlib.Path(name)
    probe = json.loads((folder / "probe.json").read_text())
    config = transformers.AutoConfig.from_pretrained(folder)
    ids = torch.tensor([probe["ids"]])
    out = {}
    architecture = config.architectures[0]
    allowed = set()
    if architecture.endswith("ForSequenceClassification"):
        auto, allowed = transformers.AutoModelForSequenceClassification, {"score.bias"}  # alma's own: transformers' head has no bias
    elif architecture.endswith("ForMaskedLM"):
        auto = transformers.AutoModelForMaskedLM
    elif architecture.endswith("Model") and not architecture.endswith("LMHeadModel"):
        auto = transformers.AutoModel
    else:
        auto = transformers.AutoModelForCausalLM
    model, info = auto.from_pretrained(folder, output_loading_info=True)
    model.eval()
    with torch.no_grad():
        seen = model(input_ids=ids)
        out["logits"] = (seen.last_hidden_state if auto is transformers.AutoModel else seen.logits)[0].contiguous()
        if auto is transformers.AutoModelForCausalLM:
            greedy = model.generate(ids, max_new_tokens=16, min_new_tokens=16, do_sample=False)
            out["greedy"] = greedy[0, ids.shape[1]:].to(torch.int32).contiguous()
    unexpected = set(info["unexpected_keys"]) - allowed
    if info["missing_keys"] or unexpected or info["mismatched_keys"]:
        sys.exit(f"{name}: missing {info['missing_keys']}, unexpected {unexpected}, mismatched {info['mismatched_keys']}")
    # For qwen2 AutoTokenizer takes Qwen's own rules whatever tokenizer.json and
    # tokenizer_class say.
    auto = transformers.PreTrainedTokenizerFast if config.model_type == "qwen2" else transformers.AutoTokenizer
    tokenizer = auto.from_pretrained(folder)
    out["text_ids"] = torch.tensor(tokenizer(probe["text"])["input_ids"], dtype=torch.int32)
    save_file(out, folder / "transformers.safetensors")
    print(f"{folder.name}: {type(model).__name__}, {sum(p.numel() for p in model.parameters())} parameters: opened, every tensor used")
