"""Runs both sides of each row in turn and keeps what they measured.

A round takes every row once: alma, then its peers. Rounds follow until the time
that is given would not hold another, so the samples of a row lie minutes
apart, and those of its sides seconds. Every measurement is a process of its own.
One that fails is kept with its reason, and the others go on.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

from page import write_page
from rows import PRECISIONS, ROWS

HERE = pathlib.Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
SPENT = "the time was spent before its turn"


def run(command: list, env: dict, limit: float):
    """The object that a command writes as its last line, or why there is none."""
    try:
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None, f"it took more than {limit:.0f} s"
    except OSError as err:
        return None, f"it could not be started: {err.strerror}"
    if done.returncode != 0:
        return None, reason(done.stderr) or f"it ended with code {done.returncode}"
    try:
        return json.loads(done.stdout.strip().splitlines()[-1]), None
    except (ValueError, IndexError):
        return None, "it wrote no result"


def reason(stderr: str) -> str:
    """The last line of an error, without the folders of this machine."""
    lines = [line.strip() for line in stderr.strip().splitlines() if line.strip()]
    return re.sub(r"/[^\s'\"]*/", "", lines[-1])[:200] if lines else ""


class Comparison:
    def __init__(self, options):
        self.options = options
        self.begun = time.monotonic()
        self.samples = []
        self.native = "avx512_bf16" in machine()["sets"]
        self.best = {"OMP_NUM_THREADS": "2"}
        if options.preload:
            self.best["LD_PRELOAD"] = options.preload

    def elapsed(self) -> float:
        return time.monotonic() - self.begun

    def command(self, side: str, row, precision: str, steps: int, compiled: bool):
        shared = row.arguments(precision, steps)
        if side == "alma":
            return [f"{self.options.work}/alma", "bench", *shared, "--json"], {}
        script = {"torch": "torch_side.py", "torch as installed": "torch_side.py", "trl": "trl_side.py", "transformers": "peft_side.py", "llama.cpp": "llama_side.py"}[side]
        command = [sys.executable, str(HERE / script), *shared]
        if side == "llama.cpp":
            return command + ["--models", f"{self.options.work}/gguf"], {}
        if compiled:
            command.append("--compile")
        env = {} if side == "torch as installed" else dict(self.best)
        if side == "trl":
            env["ACCELERATE_MIXED_PRECISION"] = "bf16" if precision == "bf16" else "no"
        return command, env

    def measure(self, side: str, row, precision: str, steps: int, compiled: bool = False, label: str = ""):
        command, env = self.command(side, row, precision, steps, compiled)
        start = time.monotonic()
        result, failure = run(command, env, self.options.limit)
        sample = {"row": row.name, "precision": precision, "side": label or side, "seconds": round(time.monotonic() - start, 1)}
        if failure:
            sample["failure"] = failure
        else:
            # Operators are for `alma bench` itself: the page does not show them.
            result.pop("operators", None)
            sample.update(result)
        self.samples.append(sample)
        told = failure or f"{1e3 * sample['median_s']:.2f} ms"
        print(f"{self.elapsed():6.0f} s  {row.name}, {precision}, {sample['side']}: {told}", file=sys.stderr, flush=True)

    def round(self, rows: list, first: bool):
        for precision in self.options.precisions:
            for row in rows:
                if row.fp32_only and precision != "fp32":
                    continue
                if not first and self.elapsed() + self.cost(row, precision) > self.options.budget:
                    continue
                if first and self.elapsed() > self.options.budget:
                    self.samples.append({"row": row.name, "precision": precision, "side": "alma", "failure": SPENT})
                    continue
                steps = 1 if self.options.quick else row.steps
                emulates = precision == "bf16" and not self.native and not row.emulated
                sides = ["alma", *(p for p in row.peers() if not emulates or p == "llama.cpp")]
                if first and not emulates and row.installed and not self.options.quick:
                    sides.append("torch as installed")
                if precision == "bf16" and not self.native:
                    # What is emulated takes its time.
                    steps = min(steps, 5)
                for side in sides:
                    compiled = side == "torch" and row.compile.get(precision, False)
                    if first or not self.failed(row, precision, side):
                        self.measure(side, row, precision, max(1, steps // 2) if "installed" in side else steps, compiled)

    def cost(self, row, precision: str) -> float:
        """Seconds that a later round of a row takes, by its first."""
        return sum(s["seconds"] for s in self.of(row, precision)[: 1 + len(row.peers())] if "failure" not in s)

    def of(self, row, precision: str) -> list:
        return [s for s in self.samples if s["row"] == row.name and s["precision"] == precision]

    def failed(self, row, precision: str, side: str) -> bool:
        return any("failure" in s for s in self.of(row, precision) if s["side"] == side)

    def tune(self, rows: list):
        """PyTorch's settings beside each other, one after the other in each round."""
        settings = {"as installed": ({}, False), "preloaded": (self.best, False), "preloaded, compiled": (self.best, True)}
        for precision in self.options.precisions:
            for row in rows:
                if "torch" not in row.peers():
                    continue
                for label, (env, compiled) in settings.items():
                    if compiled and row.work != "train":
                        continue
                    kept, self.best = self.best, env
                    self.measure("torch", row, precision, row.steps, compiled, f"torch {label}")
                    self.best = kept

    def tables(self) -> dict:
        """What alma measures of its own: products, attention, limits."""
        alma = f"{self.options.work}/alma"
        quick = self.options.quick
        out = {}
        wanted = {"peak": ["peak", "--threads", "2"]}
        for precision in self.options.precisions:
            wanted[f"gemm {precision}"] = ["gemm", "--threads", "2", "--precision", precision, "--steps", "1" if quick else "5"]
        wanted["attention"] = ["attention", "--threads", "2", "--steps", "1" if quick else "2"]
        if quick:
            wanted["attention"] += ["--seq", "256,512"]
        for name, arguments in wanted.items():
            result, failure = run([alma, "bench", *arguments, "--json"], {}, self.options.limit)
            out[name] = result or {"failure": failure}
            print(f"{self.elapsed():6.0f} s  {name}: {failure or 'done'}", file=sys.stderr, flush=True)
        return out


def machine() -> dict:
    info = pathlib.Path("/proc/cpuinfo").read_text()
    flags = set(re.search(r"^flags\s*:(.*)$", info, re.M).group(1).split())
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))
    return {
        "processor": re.search(r"^model name\s*:\s*(.*)$", info, re.M).group(1),
        "cores": len(os.sched_getaffinity(0)),
        "sets": [f for f in ("avx2", "avx512f", "avx512_bf16") if f in flags],
        "memory_gb": round(memory / 2**20),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        # Other work than this takes cores away: worst from OpenMP's barriers.
        "load": round(os.getloadavg()[0], 2),
    }


def versions(options) -> dict:
    out = {"python": platform.python_version()}
    for package in ("torch", "trl", "transformers", "peft", "xllamacpp"):
        # In another process: torch takes memory and seconds.
        code = f"import importlib.metadata, json; print(json.dumps(importlib.metadata.version('{package}')))"
        out[package] = run([sys.executable, "-c", code], {}, 60)[0] or "not installed"
    out["go"] = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True).stdout.strip()
    out["alma"] = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE).stdout.strip()
    out["preloaded"] = [re.sub(r"\.so.*", "", os.path.basename(p)) for p in options.preload.split(":") if p]
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True, help="folder of alma's binary and of GGUF files")
    p.add_argument("--preload", default="", help="libraries of PyTorch's best settings")
    p.add_argument("--rows", default="", help="only rows whose name holds this, by a regular expression")
    p.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    p.add_argument("--budget", type=float, default=13, help="minutes that the rounds may take")
    p.add_argument("--limit", type=float, default=150, help="seconds of one measurement")
    p.add_argument("--quick", action="store_true", help="one round of one step, printed only")
    p.add_argument("--tune", action="store_true", help="compare PyTorch's settings, printed only")
    p.add_argument("--page", action="store_true", help="only write the page again")
    p.add_argument("--more", action="store_true", help="add rounds, of --rows or all, to docs/benchmarks.json")
    p.add_argument("--no-tables", action="store_true", help="leave out products, attention and limits")
    o = p.parse_args()
    o.budget *= 60
    results = DOCS / "benchmarks.json"
    if o.page:
        write_page(json.loads(results.read_text()), DOCS / "benchmarks.md")
        return
    rows = [r for r in ROWS if re.search(o.rows, r.name, re.I)]
    if not rows:
        sys.exit(f"no row's name holds {o.rows!r}; they are: " + "; ".join(r.name for r in ROWS))
    c = Comparison(o)
    if o.tune:
        c.tune(rows)
        return
    whole = o.more or not (o.rows or o.quick)
    data = {"date": datetime.date.today().isoformat(), "quick": o.quick, "machine": machine(), "versions": versions(o)}
    if o.more:
        before = json.loads(results.read_text())
        if o.quick or before["quick"] or before["versions"] != data["versions"]:
            sys.exit(f"{results} is of a quick run or of other versions ({before['versions']}, now {data['versions']}): make a whole run first")
        before["machine"]["load"] = max(before["machine"]["load"], data["machine"]["load"])
        data = before
        due = {(r.name, x) for r in rows for x in o.precisions}  # what there was no time for may have it now
        c.samples = [s for s in before["samples"] if s.get("failure") != SPENT or (s["row"], s["precision"]) not in due]

    def keep():
        data["samples"] = c.samples
        # A part of the rows does not replace the results of all.
        target = results if whole else pathlib.Path(o.work) / "benchmarks.json"
        target.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        write_page(data, DOCS / "benchmarks.md" if whole else target.with_suffix(".md"))
        return target

    if not o.more:
        c.round(rows, first=True)
        keep()
    if not (o.no_tables or o.more):
        data.update(c.tables())
        keep()
    while not o.quick and c.elapsed() + min(c.cost(r, x) for r in rows for x in o.precisions) < o.budget:
        before = len(c.samples)
        c.round(rows, first=False)
        if len(c.samples) == before:
            break
    target = keep()
    print(f"{c.elapsed():6.0f} s  written: {target} and {'docs/benchmarks.md' if whole else target.with_suffix('.md')}", file=sys.stderr)


main()
