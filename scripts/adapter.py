"""Makes and opens low-rank adapters with PEFT, to compare with alma's.

usage: adapter.py make BASE OUT TARGET[,TARGET...]
       adapter.py open BASE ADAPTER

BASE is a model folder with probe.json ("ids": one row of tokens). "make" puts a
random adapter on it and saves it to OUT as PEFT does; "open" opens an adapter
that alma wrote. Both write peft.safetensors beside the adapter: the logits
[T, V] of the ids with the adapter, or [1, 1] of a scalar head, and, for a
language model, the gradients of the mean cross entropy by the adapter's arrays
("gradient/" and the name).
"""
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import peft
import torch
import transformers
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.manual_seed(3)
command, base_folder, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
ids = torch.tensor([json.loads((base_folder / "probe.json").read_text())["ids"]])
scalar = transformers.AutoConfig.from_pretrained(base_folder).architectures[0].endswith("ForSequenceClassification")
kind = transformers.AutoModelForSequenceClassification if scalar else transformers.AutoModelForCausalLM
base = kind.from_pretrained(base_folder)
if command == "make":
    config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=sys.argv[4].split(","), task_type="SEQ_CLS" if scalar else "CAUSAL_LM")
    model = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.2)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
else:
    model = peft.PeftModel.from_pretrained(base, folder, is_trainable=True)
model.eval()
logits = model(input_ids=ids).logits
out = {"logits": logits.detach()[0].contiguous()}
if not scalar:
    torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).backward()
    for name, p in model.named_parameters():
        if p.grad is not None:
            out["gradient/" + name.replace(".default", "")] = p.grad.contiguous()
save_file(out, folder / "peft.safetensors")
print(f"{folder.name}: peft {peft.__version__} on torch {torch.__version__}, {sum(p.numel() for p in model.parameters() if p.requires_grad)} trained parameters")
