"""What every peer's measurement has in common: its flags and its result."""

import argparse
import json
import resource
import statistics
import time


def flags(description: str) -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=description)
    p.add_argument("work", choices=["train", "reward", "decode", "prefill", "ppo"])
    p.add_argument("--model", default="gpt2-124m")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--seq", type=int, default=64, help="tokens of a sequence, or of a prompt")
    p.add_argument("--new", type=int, default=1, help="tokens that follow the prompt")
    p.add_argument("--vocab", type=int, default=50257)
    p.add_argument("--targets", type=float, default=0, help="share of the tokens that have a loss; 0: all")
    p.add_argument("--lora-rank", type=int, default=0, help="of an adapter that is trained in place of the weights")
    p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    p.add_argument("--steps", type=int, default=3, help="steps that are timed, after one to warm up")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--compile", action="store_true", help="through torch.compile")
    return p


def timed(step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def report(times: list, tokens: int, **more):
    """Writes the result under the names that `alma bench --json` gives it."""
    median = statistics.median(times)
    print(json.dumps({
        "median_s": median,
        "best_s": min(times),
        "tokens_per_s": tokens / median,
        # Linux counts in KiB.
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **more,
    }))
