#!/usr/bin/env python3
"""Times ptune against PEFT on one machine, in turns, and prints a table.

    cargo build --release
    python3 scripts/bench/bench.py --output bench.json

Needs Python 3.10 and pip; the rest it makes once and keeps in the cache folder ($PTUNE_CACHE,
else ~/.cache/ptune): a virtual environment from requirements.txt (about 5 GB; --python names
one of your own instead) and the backbone dequantised as a Hugging Face folder, so that both
sides compute with the same weights.

Each round runs every contender at every batch size in a process of its own, the order turning
with the round, so that a machine that warms up or is shared favours none. The table shows
medians over the rounds, and the ratios as the median of each round's own ratio.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BACKBONE = "smollm2-135m"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
FIELDS = ["train_examples_per_s", "eval_examples_per_s", "peak_memory_bytes", "first_step_s", "load_s"]


def cache_dir() -> Path:
    """The same folder as ptune's own."""
    if own := os.environ.get("PTUNE_CACHE"):
        return Path(own)
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "ptune"


def arguments() -> argparse.Namespace:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ptune", type=Path, default=target / "release" / "ptune", help="the program (%(default)s)")
    parser.add_argument("--python", type=Path, help="a Python that has requirements.txt installed")
    parser.add_argument("--hf", type=Path, help="the backbone as a Hugging Face folder, if you have it")
    parser.add_argument("--contenders", default="peft,ptune", help="any of peft, ptune (%(default)s)")
    parser.add_argument("--batch", default="8,32", help="batch sizes (%(default)s)")
    parser.add_argument("--length", type=int, default=16, help="tokens of an example, virtual ones among them")
    parser.add_argument("--virtual", type=int, default=9, help="virtual tokens")
    parser.add_argument("--steps", type=int, default=8, help="timed steps of a run, after one to warm up")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="file for all figures as JSON")
    args = parser.parse_args()
    args.batches = [int(size) for size in args.batch.split(",")]
    args.names = args.contenders.split(",")
    if unknown := set(args.names) - {"peft", "ptune"}:
        parser.error(f"no contender {', '.join(sorted(unknown))}; there are peft and ptune")
    if args.rounds < 1 or args.steps < 1:
        parser.error("--rounds and --steps have to be at least 1")
    if not 0 < args.virtual < args.length:
        parser.error("--virtual has to lie between 0 and --length")
    if not args.ptune.is_file() and ("ptune" in args.names or not args.hf):
        parser.error(f"{args.ptune}: no such file; run `cargo build --release`, or name it by --ptune")
    return args


def run(command: list) -> str:
    """A command's standard output; a failure ends the benchmark with what it said."""
    command = [str(part) for part in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}\nfailed with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def environment(args: argparse.Namespace) -> Path:
    """The Python of the benchmark's virtual environment, made if need be."""
    if args.python:
        return args.python
    folder = cache_dir() / "bench-venv"
    python = folder / "bin" / "python"
    requirements = HERE / "requirements.txt"
    # Written last: an environment whose installation was interrupted is made afresh.
    stamp = folder / "complete"
    wanted = requirements.read_text() + (HERE.parent / "reference" / "requirements.txt").read_text()
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"making {folder} (about 5 GB, once)", file=sys.stderr)
        run([sys.executable, "-m", "venv", "--clear", folder])
        run([python, "-m", "pip", "install", "--quiet", "-r", requirements])
        stamp.write_text(wanted)
    return python


def backbone(args: argparse.Namespace, python: Path) -> Path:
    """The backbone as a Hugging Face folder, dequantised if need be."""
    if args.hf:
        return args.hf
    folder = cache_dir() / "hf" / BACKBONE
    if not folder.is_dir():
        print(f"dequantising the backbone into {folder}", file=sys.stderr)
        run([args.ptune, "fetch", BACKBONE])
        gguf = cache_dir() / "backbones" / BACKBONE / GGUF
        run([python, HERE.parent / "reference" / "gguf_to_hf.py", gguf, folder])
    return folder


def measure(args: argparse.Namespace, commands: dict[str, list]) -> list[dict]:
    """One row for each round, batch size and contender."""
    rows = []
    for round_ in range(args.rounds):
        order = args.names if round_ % 2 == 0 else args.names[::-1]
        for batch in args.batches:
            for name in order:
                shape = ["--batch", batch, "--length", args.length, "--virtual", args.virtual, "--steps", args.steps]
                # The last line: what a library prints before it is not ours.
                figures = json.loads(run(commands[name] + shape).strip().splitlines()[-1])
                rows.append({"round": round_, "batch": batch, "contender": name, **figures})
                print(f"round {round_ + 1}/{args.rounds} batch {batch} {name}: "
                      f"train {figures['train_examples_per_s']:.1f}/s, evaluate {figures['eval_examples_per_s']:.1f}/s",
                      file=sys.stderr)  # fmt: skip
    return rows


def medians(rows: list[dict], batch: int, name: str) -> dict[str, float]:
    return {f: statistics.median(r[f] for r in rows if r["batch"] == batch and r["contender"] == name) for f in FIELDS}


def ratios(rows: list[dict], batch: int) -> dict[str, list[float]]:
    """ptune's figures over PEFT's, by round."""
    by_round: dict[int, dict] = {}
    for row in rows:
        if row["batch"] == batch:
            by_round.setdefault(row["round"], {})[row["contender"]] = row
    return {f: [pair["ptune"][f] / pair["peft"][f] for pair in by_round.values()] for f in FIELDS}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(args: argparse.Namespace, rows: list[dict]) -> str:
    lines = [
        f"{BACKBONE}, length {args.length} of which {args.virtual} virtual, {args.rounds} rounds of {args.steps} steps, "
        f"{processor()}, {os.cpu_count()} threads.",
        "",
        "| batch | | train, examples/s | evaluate, examples/s | peak memory, GB | first step, s | load, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for batch in args.batches:
        for name in args.names:
            m = medians(rows, batch, name)
            lines.append(
                f"| {batch} | {name} | {m['train_examples_per_s']:.1f} | {m['eval_examples_per_s']:.1f} "
                f"| {m['peak_memory_bytes'] / 1e9:.2f} | {m['first_step_s']:.2f} | {m['load_s']:.2f} |"
            )
        if {"peft", "ptune"} <= set(args.names):
            cells = []
            for by_round in ratios(rows, batch).values():
                cells.append(f"{statistics.median(by_round):.2f} ({min(by_round):.2f} to {max(by_round):.2f})")
            lines.append(f"| {batch} | ptune / peft | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    args = arguments()
    commands: dict[str, list] = {"ptune": [args.ptune, "bench", "--backbone", BACKBONE, "--json"]}
    if "peft" in args.names:
        python = environment(args)
        commands["peft"] = [python, HERE / "peft_step.py", backbone(args, python)]
    rows = measure(args, commands)
    print(table(args, rows))
    if args.output:
        setting = {"backbone": BACKBONE, "length": args.length, "virtual": args.virtual, "steps": args.steps, "rounds": args.rounds}
        machine = {"processor": processor(), "threads": os.cpu_count(), "system": platform.system()}
        summary = [{"batch": b, "contender": n, **medians(rows, b, n)} for b in args.batches for n in args.names]
        result = {"setting": setting, "machine": machine, "medians": summary, "runs": rows}
        if {"peft", "ptune"} <= set(args.names):
            result["ratios"] = [{"batch": b, **ratios(rows, b)} for b in args.batches]
        args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
