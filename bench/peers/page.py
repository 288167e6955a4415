"""docs/benchmarks.md of what compare.py kept."""

import statistics

from rows import PRECISIONS, ROWS

PEERS = {"torch": "PyTorch", "trl": "TRL", "transformers": "transformers with PEFT", "llama.cpp": "llama.cpp", "torch as installed": "PyTorch as installed"}

# The load above which a comparison is not one.
QUIET = 1.0


def samples_of(data, row, precision, side):
    """What the rounds have of a side, one after the other."""
    return [s for s in data["samples"] if (s["row"], s["precision"], s["side"]) == (row.name, precision, side)]


def median_of(data, row, precision, side, key="median_s"):
    """The median over the rounds, None where nothing was measured."""
    values = [s[key] for s in samples_of(data, row, precision, side) if s.get(key)]
    return statistics.median(values) if values else None


def by_round(data, row, precision, peer):
    """The ratio to a peer in each round, where neighbours in time have the same noise: median and range."""
    pairs = zip(samples_of(data, row, precision, "alma"), samples_of(data, row, precision, peer))
    ratios = [theirs["median_s"] / ours["median_s"] for ours, theirs in pairs if ours.get("median_s") and theirs.get("median_s")]
    if len(ratios) < 2:
        return "—"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def rounds_of(data, row, precision):
    return len(samples_of(data, row, precision, "alma"))


def shown(row, seconds):
    if seconds is None:
        return "—"
    if row.work == "prefill":
        return f"{row.batch * row.seq / seconds:,.0f} tokens/s"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"


def ratio(peer, alma):
    if peer is None or alma is None:
        return "—"
    return f"{peer / alma:.2f}" if peer >= alma else f"**{peer / alma:.2f}**"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]


def comparison(data, precision):
    rows = []
    for row in ROWS:
        alma = median_of(data, row, precision, "alma")
        if not rounds_of(data, row, precision):
            continue
        percent = median_of(data, row, precision, "alma", "percent_of_peak")
        times = {PEERS[p] if x == precision else f"{PEERS[p]} in {x}": median_of(data, row, x, p) for p in row.peers() for x in dict.fromkeys((precision, "fp32"))}
        measured = {p: t for p, t in times.items() if t is not None}
        installed = median_of(data, row, precision, "torch as installed")
        best = min(measured, key=measured.get) if measured else None
        side = next((p for p in row.peers() if PEERS[p] == best), "")
        rows.append([
            row.name, shown(row, alma), f"{percent:.0f} %" if percent and row.work != "decode" else "—",
            ", ".join(f"{p} {shown(row, t)}" for p, t in sorted(measured.items(), key=lambda m: m[1])) or "—",
            ratio(measured.get(best), alma), by_round(data, row, precision, side),
            shown(row, installed), ratio(installed, alma), rounds_of(data, row, precision),
        ])
    return table(["work", "alma", "of the fp32 peak", "peers at their best", "ratio", "by round", "PyTorch as installed", "ratio", "rounds"], rows)


def memory(data):
    rows = []
    for row in ROWS:
        for precision in PRECISIONS:
            alma = median_of(data, row, precision, "alma", "peak_rss_mb")
            peer = median_of(data, row, precision, row.peers()[0], "peak_rss_mb")
            if alma and peer:
                rows.append([row.name, precision, f"{alma:,.0f} MB", f"{PEERS[row.peers()[0]]} {peer:,.0f} MB", f"{alma / peer:.2f}"])
    return table(["work", "precision", "alma", "peer", "alma ÷ peer"], rows)


def failures(data):
    told = {}
    for s in data["samples"]:
        if "failure" in s:
            told[f"{s['row']}, {s['precision']}, {PEERS.get(s['side'], s['side'])}"] = s["failure"]
    for name in ("peak", "gemm fp32", "gemm bf16", "attention"):
        if "failure" in data.get(name, {}):
            told[name] = data[name]["failure"]
    return [f"- {what}: {why}" for what, why in told.items()]


def products(data):
    out = []
    for precision in PRECISIONS:
        g = data.get(f"gemm {precision}", {})
        if "products" not in g:
            continue
        kinds = list(dict.fromkeys(p["product"] for p in g["products"]))
        shapes = list(dict.fromkeys((p["m"], p["n"], p["k"]) for p in g["products"]))
        cell = {(p["m"], p["n"], p["k"], p["product"]): f"{p['gflops']:.0f} ({p['percent_of_peak']:.0f} %)" for p in g["products"]}
        out += ["", f"{precision}, fp32 peak {g['peak_gflops']:.0f} GFLOP/s, {g['engine']}:", ""]
        out += table(["M × N × K", *kinds], [[f"{m} × {n} × {k}", *(cell[m, n, k, kind] for kind in kinds)] for m, n, k in shapes])
    return out


def attention(data):
    rows = data.get("attention", {}).get("rows", [])
    by = {(r["t"], r["threads"]): r for r in rows}
    out = []
    for t in dict.fromkeys(r["t"] for r in rows):
        one, two = by[t, 1], by.get((t, 2))
        whole = one["forward_s"] + one["backward_s"]
        cells = [t, f"{1e3 * one['forward_s']:.1f}", f"{1e3 * one['backward_s']:.1f}"]
        if two:
            cells += [f"{1e3 * two['forward_s']:.1f}", f"{1e3 * two['backward_s']:.1f}", f"{whole / (two['forward_s'] + two['backward_s']):.2f}"]
        out.append(cells + [f"{one.get('peak_rss_mb', 0):.0f}"])
    return table(["T", "forward ms, 1 thread", "backward", "forward ms, 2 threads", "backward", "scaling", "peak MB"], out)


def write_page(data, path):
    m, v = data["machine"], data["versions"]
    peaks = data.get("peak", {}).get("threads", [])
    lines = [
        "# Benchmarks",
        "",
        "The same work in alma and in the programs that people use for it, on the same two cores, in turn and in one go:",
        "",
        "```",
        "bench/peers/run.sh            # everything; writes this page and benchmarks.json",
        "bench/peers/run.sh --page     # this page again from benchmarks.json",
        "alma bench train --model gpt2-124m --batch 4 --seq 256    # one row of alma's side",
        "```",
        "",
        "A ratio is the peer's time divided by alma's: above 1 alma is faster, in bold it is slower. A time is the median"
        " of a round's steps after one to warm up, then the median of the rounds. By round: the median and the range of the ratios"
        " within a round, which other work on the host disturbs less. Models have random weights, batches random tokens.",
        "",
        f"- Measured on {data['date']}: {m['processor']}, {m['cores']} cores ({', '.join(m['sets'])}), {m['memory_gb']} GB, {m['system']}; two threads on every side.",
    ]
    if m["load"] > QUIET:
        lines.append(f"- **Other programs were running**: the load was {m['load']:.1f} before the first row. These numbers are not to be relied on, the peers' with OpenMP least.")
    if data.get("quick"):
        lines.append("- Of `run.sh --quick`: one step of each row, in one round. Differences of a tenth are noise.")
    if peaks:
        lines.append("- Limits by `alma bench peak`: " + "; ".join(
            f"{p['threads']} thread{'s' if p['threads'] > 1 else ''} {p['peak_gflops']:.0f} GFLOP/s fp32, {p['bandwidth_gb_s']:.0f} GB/s read" for p in peaks) + ".")
    lines += [
        f"- alma {v['alma']} with {v['go']}; Python {v['python']}, PyTorch {v['torch']}, TRL {v['trl']} on transformers {v['transformers']}, PEFT {v.get('peft', '–')},"
        f" llama.cpp as in xllamacpp {v['xllamacpp']}.",
        "- A training step is the forward and backward pass, clipping by the global norm, and AdamW. decode is the time of one more"
        " token for every sequence, from the first new token to the last, the most likely one each time. prefill is the time to the first new token.",
        "- The share of the peak counts the model's FLOPs: each product once, its gradients two, and nothing that is computed again.",
        "- PPO: a rollout, the rewards of a model, and four epochs of one optimizer step each; reward model and critic are as large as the policy.",
        "- bf16: alma rounds the operands of products and attention and keeps sums and weights in 32 bits. PyTorch trains under autocast and decodes with bf16 weights;"
        " llama.cpp has a BF16 file; TRL has accelerate's mixed precision. A peer that is faster in fp32 counts with its fp32.",
        *([] if "avx512_bf16" in m["sets"] else ["- This processor has no instructions for bf16. PyTorch emulates them, many times slower than its fp32, so its bf16 is measured in two rows only; in the others its fp32 stands beside alma's bf16."]),
        "",
        "## Settings of the peers",
        "",
        "PyTorch at its best: scaled_dot_product_attention, fused AdamW, one matrix for projections of one input, two threads, preloaded: "
        + (", ".join(v["preloaded"]) or "nothing, which this machine did not have")
        + " (libtcmalloc_minimal keeps large blocks from going back to the system; intel lets MKL use its AVX2 and AVX-512 kernels on other makers' processors)."
        " torch.compile is used where `run.sh --tune` found it faster: "
        + ("; ".join(f"{r.name} ({', '.join(p for p, on in r.compile.items() if on)})" for r in ROWS if any(r.compile.values())) or "in no row")
        + ". As installed: the same program without preloading and without compiling. llama.cpp: flash attention on, one batch holds all prompts.",
    ]
    for precision in PRECISIONS:
        if any(s["precision"] == precision for s in data["samples"]):
            lines += ["", f"## {precision}", "", *comparison(data, precision)]
    lines += ["", "## Peak memory", "", "Of the whole process, as the system counts it.", "", *memory(data)]
    if failed := failures(data):
        lines += ["", "## What could not be measured", "", *failed]
    if product_tables := products(data):
        lines += ["", "## Matrix products", "", "`alma bench gemm`: GFLOP/s of the products of a layer from K features to N at M rows, and their share of the fp32 peak, the packing of the weights included.", *product_tables]
    if data.get("attention", {}).get("rows"):
        lines += ["", "## Attention by length", "", "`alma bench attention`: one causal sequence, 12 heads of 64. Memory is that of the process and grows with T, not T².", "", *attention(data)]
    path.write_text("\n".join(lines) + "\n")
