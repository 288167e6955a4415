"""Fine-tuning and reward modelling by transformers, with PEFT's adapters or whole.

The model is random, of a config.json; an adapter of PEFT's lies on all linear layers
of the blocks. A reward model reads both texts of each pair together and takes
-log σ of the difference, which is what TRL's RewardTrainer computes.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig

from measure import flags, report, timed


def main():
    o = flags(__doc__).parse_args()
    if o.precision != "fp32":
        raise SystemExit("peft_side.py: fp32 alone is compared")
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    config = LlamaConfig.from_json_file(o.model)
    config.pad_token_id, config.use_cache, config.num_labels = 1, False, 1
    rewards = o.work == "reward"
    model = (AutoModelForSequenceClassification if rewards else AutoModelForCausalLM).from_config(config, attn_implementation="sdpa")
    if o.lora_rank:
        model = get_peft_model(model, LoraConfig(
            r=o.lora_rank, lora_alpha=16, target_modules="all-linear", task_type="SEQ_CLS" if rewards else "CAUSAL_LM"))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    rows = o.batch * (2 if rewards else 1)

    def step():
        if rewards:
            scores = model(input_ids=tokens).logits[:, 0]
            loss = -F.logsigmoid(scores[0::2] - scores[1::2]).mean()
        else:
            labels = tokens.clone()
            if o.targets:
                labels[:, : int((1 - o.targets) * o.seq)] = -100
            loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    times = []
    for i in range(o.steps + 1):
        tokens = torch.randint(2, o.vocab, (rows, o.seq))
        elapsed = timed(step)
        if i > 0:
            times.append(elapsed)
    report(times, rows * o.seq)


main()
