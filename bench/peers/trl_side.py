"""An iteration of PPO by TRL's trainer, with random models and prompts."""

import os
import tempfile
import time
import warnings

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import contextlib
import sys

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer

from measure import flags, report
from models import Shape


class Clock(TrainerCallback):
    """The moments at which iterations end."""

    def __init__(self):
        self.moments = []

    def on_step_end(self, *_, **__):
        self.moments.append(time.perf_counter())


def main():
    p = flags(__doc__)
    p.add_argument("--epochs", type=int, default=4)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    pad = o.vocab - 1
    if o.model.endswith(".json"):
        config = LlamaConfig.from_json_file(o.model)
        config.bos_token_id = config.eos_token_id = config.pad_token_id = pad
        config.num_labels = 1
    else:
        s = Shape.named(o.model, o.vocab, o.seq + o.new)
        config = GPT2Config(
            vocab_size=s.vocab, n_positions=s.context, n_embd=s.width, n_layer=s.layers, n_head=s.heads,
            bos_token_id=pad, eos_token_id=pad, pad_token_id=pad, num_labels=1,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    writer, scorer = AutoModelForCausalLM.from_config, AutoModelForSequenceClassification.from_config
    words = Tokenizer(models.WordLevel({f"t{i}": i for i in range(o.vocab)}, unk_token=f"t{pad}"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token=f"t{pad}", eos_token=f"t{pad}", padding_side="left")
    iterations = o.steps + 1
    prompts = torch.randint(pad, (o.batch * iterations, o.seq)).tolist()
    clock = Clock()
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(sys.stderr):
        trainer = PPOTrainer(
            args=PPOConfig(
                output_dir=out, use_cpu=True, bf16=o.precision == "bf16",
                per_device_train_batch_size=o.batch, gradient_accumulation_steps=1, num_mini_batches=1,
                local_rollout_forward_batch_size=o.batch, num_ppo_epochs=o.epochs, total_episodes=len(prompts),
                response_length=o.new, temperature=1.0, num_sample_generations=0, learning_rate=1e-5,
                save_strategy="no", report_to="none", disable_tqdm=True,
            ),
            processing_class=tokenizer,
            model=writer(config), ref_model=writer(config), reward_model=scorer(config), value_model=scorer(config),
            train_dataset=Dataset.from_dict({"input_ids": prompts}), eval_dataset=Dataset.from_dict({"input_ids": prompts[:o.batch]}),
            callbacks=[clock],
        )
        trainer.train()
    times = [b - a for a, b in zip(clock.moments, clock.moments[1:])]
    report(times, o.batch * o.new)


main()
