"""GPT-2 and a Llama-shaped model in PyTorch, no larger than their formulas.

They have the shapes and the count of parameters of alma's models of the same
name, so that both sides of a comparison do the same work. Projections that read
the same input are one matrix, which is how PyTorch is fastest.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Shape:
    """What `--model` names: gpt2-124m, LAYERSxWIDTH or llama:LAYERSxWIDTH."""

    family: str
    layers: int
    width: int
    heads: int
    vocab: int
    context: int

    @staticmethod
    def named(name: str, vocab: int, context: int) -> "Shape":
        family = "gpt2"
        if name == "gpt2-124m":
            name, context = "12x768", max(1024, context)
        elif ":" in name:
            family, name = name.split(":")
        layers, width = (int(n) for n in name.split("x"))
        return Shape(family, layers, width, width // (32 if width <= 256 else 64), vocab, context)

    @property
    def feed_forward(self) -> int:
        if self.family == "gpt2":
            return 4 * self.width
        return (8 * self.width // 3 + 63) // 64 * 64


class Cache:
    """Keys and values of a layer for B sequences that grow side by side."""

    def __init__(self, b: int, shape: Shape, length: int, dtype: torch.dtype):
        size = (b, shape.heads, length, shape.width // shape.heads)
        self.keys, self.values = torch.zeros(size, dtype=dtype), torch.zeros(size, dtype=dtype)

    def extend(self, start: int, k: torch.Tensor, v: torch.Tensor):
        """Adds k and v [B, H, T, Dh] and returns all so far."""
        end = start + k.shape[2]
        self.keys[:, :, start:end], self.values[:, :, start:end] = k, v
        return self.keys[:, :, :end], self.values[:, :, :end]


class Attention(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.heads, self.rotates = s.heads, s.family == "llama"
        self.qkv = nn.Linear(s.width, 3 * s.width, bias=s.family == "gpt2")
        self.out = nn.Linear(s.width, s.width, bias=s.family == "gpt2")

    def forward(self, x, rotation, cache, start):
        b, t, d = x.shape
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in self.qkv(x).split(d, 2))
        if self.rotates:
            q, k = rotate(q, rotation), rotate(k, rotation)
        if cache is not None:
            k, v = cache.extend(start, k, v)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1)
        return self.out(y.transpose(1, 2).reshape(b, t, d))


def rotate(x, rotation):
    """RoPE on pairs of the two halves of a head."""
    cos, sin = rotation
    a, b = x.chunk(2, 3)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), 3)


class Block(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.gated = s.family == "llama"
        norm = nn.RMSNorm if self.gated else nn.LayerNorm
        self.norm1, self.norm2 = norm(s.width, eps=1e-5), norm(s.width, eps=1e-5)
        self.attention = Attention(s)
        self.up = nn.Linear(s.width, s.feed_forward * (2 if self.gated else 1), bias=not self.gated)
        self.down = nn.Linear(s.feed_forward, s.width, bias=not self.gated)

    def forward(self, x, rotation, cache, start):
        x = x + self.attention(self.norm1(x), rotation, cache, start)
        h = self.up(self.norm2(x))
        if self.gated:
            gate, h = h.chunk(2, 2)
            h = F.silu(gate) * h
        else:
            h = F.gelu(h, approximate="tanh")
        return x + self.down(h)


class LanguageModel(nn.Module):
    """Logits of the next token; the head is the embedding."""

    def __init__(self, s: Shape):
        super().__init__()
        self.shape = s
        self.tokens = nn.Embedding(s.vocab, s.width)
        self.positions = nn.Embedding(s.context, s.width) if s.family == "gpt2" else None
        self.blocks = nn.ModuleList(Block(s) for _ in range(s.layers))
        self.norm = (nn.LayerNorm if s.family == "gpt2" else nn.RMSNorm)(s.width, eps=1e-5)
        half = s.width // s.heads // 2
        angles = torch.outer(torch.arange(s.context), 10000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def hidden(self, tokens, caches=None, start=0):
        t = tokens.shape[1]
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions.weight[start : start + t]
        rotation = self.cos[start : start + t], self.sin[start : start + t]
        for i, block in enumerate(self.blocks):
            x = block(x, rotation, caches[i] if caches else None, start)
        return self.norm(x)

    def forward(self, tokens, targets):
        logits = F.linear(self.hidden(tokens), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def next(self, tokens, caches, start):
        """The most likely token after each of tokens [B, T], [B, 1]."""
        return F.linear(self.hidden(tokens, caches, start)[:, -1:], self.tokens.weight).argmax(2)


def parameter_groups(model: nn.Module, decay: float):
    """Weight decay is for matrices only."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
