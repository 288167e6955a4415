"""What PyTorch computes for alma's operators, in double precision.

    python3 scripts/operators.py > compute/reference/testdata/pytorch.json

Needs torch. Inputs are multiples of 1/64, which float32 holds. Each case has its
inputs, the result y and the gradients dNAME of the sum of y·dy.
"""
import json

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(1)
cases = {}


def number(*shape, positive=False):
    low = 1 if positive else -128
    return torch.randint(low, 129, shape) / 64


def array(t):
    return {"shape": list(t.shape), "values": t.detach().reshape(-1).tolist()}


def case(name, f, wrt, ids={}, **inputs):
    """y = f(inputs); its gradients by the inputs that wrt names."""
    leaves = {n: t.clone().requires_grad_(n in wrt) for n, t in inputs.items()}
    y = f(**leaves, **ids)
    dy = number(*y.shape)
    outputs = {"y": y}
    if wrt:
        y.backward(dy)
        outputs |= {"d" + n: leaves[n].grad for n in wrt}
    cases[name] = {
        "inputs": {n: array(t) for n, t in inputs.items()} | {"dy": array(dy)},
        "ids": {n: {"shape": list(t.shape), "values": t.reshape(-1).tolist()} for n, t in ids.items()},
        "outputs": {n: array(t) for n, t in outputs.items()},
    }


def attention(q, k, v, causal, window=0):
    """[B, T, heads, K] as alma has them, [B, heads, T, K] as PyTorch does."""
    t = q.shape[1]
    mask = torch.ones(t, t, dtype=torch.bool)
    if causal:
        mask = mask.tril()
    if window:
        mask = mask.triu(1 - window)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.5, enable_gqa=True).transpose(1, 2)


def rope(x, positions):
    """Pairs i and i + K/2 as one complex number, turned by position·frequency."""
    half = x.shape[-1] // 2
    z = torch.complex(x[..., :half], x[..., half:])
    angle = positions[:, None, None] * torch.tensor([1.0, 0.25])
    z = z * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([z.real, z.imag], -1)


case("gelu tanh", lambda x: F.gelu(x, approximate="tanh"), "x", x=number(9))
case("gelu exact", lambda x: F.gelu(x), "x", x=number(9))
case("swiglu", lambda gate, up: F.silu(gate) * up, ["gate", "up"], gate=number(9), up=number(9))
case("layer norm", lambda x, gamma, beta: F.layer_norm(x, (5,), gamma, beta, 2**-10), ["x", "gamma", "beta"], x=number(3, 5), gamma=number(5), beta=number(5))
case("rms norm", lambda x, gamma: F.rms_norm(x, (5,), gamma, 2**-10), ["x", "gamma"], x=number(3, 5), gamma=number(5))
case("linear", lambda x, w, bias: F.linear(x, w, bias), ["x", "w", "bias"], x=number(2, 3, 4), w=number(5, 4), bias=number(5))
case("embedding", lambda table, ids: F.embedding(ids, table), ["table"], table=number(4, 3), ids={"ids": torch.tensor([2, 0, 2, 3])})
case("rope", rope, "x", x=number(3, 2, 4), ids={"positions": torch.tensor([0, 1, 7])})
for name, causal, window in (("attention", False, 0), ("causal attention", True, 0), ("causal attention, window 2", True, 2)):
    case(name, lambda q, k, v: attention(q, k, v, causal, window), "qkv", q=number(2, 5, 4, 4), k=number(2, 5, 2, 4), v=number(2, 5, 2, 4))
targets = {"targets": torch.tensor([3, -100, 0, 6])}
case("cross entropy", lambda hidden, w, targets: F.cross_entropy(hidden @ w.T, targets, reduction="none"), ["hidden", "w"], hidden=number(4, 3), w=number(7, 3), ids=targets)
case("biased cross entropy", lambda hidden, w, bias, targets: F.cross_entropy(hidden @ w.T + bias, targets, reduction="none"), ["hidden", "w", "bias"], hidden=number(4, 3), w=number(7, 3), bias=number(7), ids=targets)
tokens = {"tokens": torch.tensor([3, 5, 0, 6])}
case("token log-probability", lambda hidden, w, tokens: torch.distributions.Categorical(logits=hidden @ w.T / 0.5).log_prob(tokens), ["hidden", "w"], hidden=number(4, 3), w=number(7, 3), ids=tokens)
case("entropy", lambda hidden, w, tokens: torch.distributions.Categorical(logits=hidden @ w.T / 0.5).entropy(), "", hidden=number(4, 3), w=number(7, 3), ids=tokens)
case("global norm", lambda a, b: torch.nn.utils.get_total_norm([a, b]).reshape(1), "", a=number(3, 4), b=number(5))


def adamw(w, first, second):
    """Two steps, the second one's gradient clipped to a quarter."""
    w = torch.nn.Parameter(w)
    optimizer = torch.optim.AdamW([w], lr=2**-7, betas=(0.875, 0.9375), eps=2**-20, weight_decay=0.125)
    for gradient in (first, second / 4):
        w.grad = gradient
        optimizer.step()
    return w.detach()


case("adamw", adamw, "", w=number(6), first=number(6), second=number(6))

print("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(c)}" for name, c in cases.items()) + "\n}")
