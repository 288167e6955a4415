"""Training, decoding and prefill in PyTorch."""

import contextlib
import time

import torch

from measure import flags, report, timed
from models import Cache, LanguageModel, Shape, parameter_groups


def train(o, model):
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1), lr=1e-3, betas=(0.9, 0.95), fused=True)
    forward = torch.compile(model) if o.compile else model
    cast = torch.autocast("cpu", torch.bfloat16) if o.precision == "bf16" else contextlib.nullcontext()

    def step():
        with cast:
            loss = forward(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    times = []
    for i in range(o.steps + 1):
        tokens, targets = torch.randint(o.vocab, (2, o.batch, o.seq))
        elapsed = timed(step)
        if i > 0:
            times.append(elapsed)
    report(times, o.batch * o.seq)


@torch.inference_mode()
def generate(o, model):
    """Decoding is timed from the first new token to the last, as in alma."""
    dtype = torch.bfloat16 if o.precision == "bf16" else torch.float32
    model = model.to(dtype).eval()
    caches = [Cache(o.batch, model.shape, o.seq + o.new, dtype) for _ in model.blocks]
    reading, writing = [], []
    for i in range(o.steps + 1):
        tokens = torch.randint(o.vocab, (o.batch, o.seq))
        begun = time.perf_counter()
        token = model.next(tokens, caches, 0)
        read = time.perf_counter()
        for at in range(o.seq, o.seq + o.new - 1):
            token = model.next(token, caches, at)
        ended = time.perf_counter()
        if i > 0:
            reading.append(read - begun)
            writing.append((ended - read) / max(1, o.new - 1))
    if o.work == "prefill":
        report(reading, o.batch * o.seq)
    else:
        report(writing, o.batch)


def main():
    o = flags(__doc__).parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    model = LanguageModel(Shape.named(o.model, o.vocab, o.seq + o.new))
    (train if o.work == "train" else generate)(o, model)


main()
