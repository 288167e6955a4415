"""Writes yarn.json: the frequencies and the attention factor of YaRN as
transformers 5.24.0 computes them (modeling_rope_utils._compute_yarn_parameters).

    python yarn.py

Only numpy is at hand, so a module of that name stands in for the few functions of
torch that the formula calls.
"""
import importlib, inspect, json, os, sys, types
import numpy as np
import transformers.modeling_rope_utils as rope


class Array(np.ndarray):
    def to(self, device=None, dtype=None):
        return self.astype(dtype) if dtype else self


torch = types.ModuleType("torch")
torch.float = torch.float32 = np.float32
torch.int64 = np.int64
torch.arange = lambda *a, dtype=None, device=None: np.arange(*a, dtype=dtype).view(Array)
torch.clamp = lambda x, low, high: np.clip(x, low, high).view(Array)
rope.torch = torch


class Config:
    hidden_size, num_attention_heads = 64, 1

    def standardize_rope_params(self):
        pass


cases = []
for dim, theta, context, parameters in [
    (128, 1e6, 131072, {"factor": 4.0, "original_max_position_embeddings": 32768}),  # Qwen 2.5 and 3
    (64, 1e4, 2048, {"factor": 16.0, "original_max_position_embeddings": 2048, "beta_fast": 32, "beta_slow": 1, "attention_factor": 1.0}),  # MiniMind
    (64, 1e4, 163840, {"factor": 40.0, "original_max_position_embeddings": 4096, "mscale": 0.707, "mscale_all_dim": 1.0}),
    (64, 150000.0, 131072, {"factor": 32.0, "original_max_position_embeddings": 4096, "truncate": False}),
    (16, 500.0, 172, {"factor": 4.0, "original_max_position_embeddings": 43, "beta_fast": 8.0, "beta_slow": 0.5}),
    (6, 500.0, 43, {"factor": 4.0, "original_max_position_embeddings": 32768}),
]:
    c = Config()
    c.head_dim, c.max_position_embeddings = dim, context
    c.rope_parameters = {"rope_type": "yarn", "rope_theta": theta, **parameters}
    frequencies, attention = rope._compute_yarn_parameters(c)
    cases.append({"head_dim": dim, "context": context, "rope_parameters": c.rope_parameters, "frequencies": [float(f) for f in frequencies], "attention": attention})
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "yarn.json")
json.dump(cases, open(path, "w"), indent=1)
