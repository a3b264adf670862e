#!/usr/bin/env python3
"""Times ptune against PyTorch on one machine, in turns, and prints a table.

    cargo build --release
    python3 scripts/bench/bench.py --output bench.json
    python3 scripts/bench/bench.py --batch 1,8,32,128 --length 16,64,256,512 --output grid.json --chart grid.png
    python3 scripts/bench/bench.py --model bert-base --length 24
    python3 scripts/bench/bench.py --device cuda --contenders peft,peft-bf16,peft-compiled,ptune,ptune-bf16

Needs Python 3.10 and pip; the rest it makes once and keeps in the cache folder ($PTUNE_CACHE,
else ~/.cache/ptune): a virtual environment from requirements.txt (about 5 GB; --python names
one of your own instead) and the backbone dequantised as a Hugging Face folder, so that both
sides compute with the same weights.

models
  smollm2-135m  a causal language model; six of the virtual tokens lead
  bert-base     a masked language model of BERT-base's shape and random f32 weights
  gpt2          a causal one of GPT-2's (124 million parameters)
  qwen2-0.5b    a causal one of Qwen2-0.5B's

contenders
  peft           PEFT's P-tuning on PyTorch, as its users run it (causal models)
  peft-bf16      the same with the model in bfloat16
  peft-compiled  the same, and through torch.compile
  published      P-tuning as its published code computes it (bert-base)
  ptune          ptune as its users run it
  ptune-bf16     the same with products in bfloat16 (not on the CPU's own device)
  unshared       ptune that computes every position of every example
  plain          ptune on Burn's own operations, nothing packed, fused or shared
  floor          the matrix products of a step alone, by the best library here, without any sharing

Each round runs every contender at every shape in a process of its own, the order turning with
the round, so that a machine that warms up or is shared favours none. The table shows medians over
the rounds, and the ratios as the median of each round's own ratio. Large shapes take fewer steps; a
contender that does not fit into memory says so and is left out from then on.
"""

import argparse
import contextlib
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
# Backbone of ptune, and against what it is timed; random ones go by the same name on the other side.
MODELS = {
    "smollm2-135m": ("smollm2-135m", "peft"),
    "bert-base": (
        "random:family=bert,weights=f32,hidden=768,intermediate=3072,layers=12,heads=12,vocab=28996",
        "published",
    ),
    "gpt2": ("random:family=gpt2,weights=f32,hidden=768,intermediate=3072,layers=12,heads=12,vocab=50257", "peft"),
    "qwen2-0.5b": (
        "random:family=qwen2,weights=f32,hidden=896,intermediate=4864,layers=24,heads=14,kv_heads=2,vocab=151936",
        "peft",
    ),
}
PTUNE = {
    "ptune": [],
    "ptune-bf16": ["--dtype", "bf16"],
    "unshared": ["--without", "share-prefix"],
    "plain": ["--without", "share-prefix", "--without", "fused"],
}
PEFT = {
    "peft": [],
    "peft-bf16": ["--dtype", "bfloat16"],
    "peft-compiled": ["--dtype", "bfloat16", "--compile"],
}
NAMES = [*PEFT, "published", *PTUNE, "floor"]
# What each contender may report, its heading and how it is printed.
FIELDS = {
    "train_examples_per_s": ("train, examples/s", "{:.1f}"),
    "train_tokens_per_s": ("train, tokens/s", "{:.0f}"),
    "eval_examples_per_s": ("evaluate, examples/s", "{:.1f}"),
    "peak_memory_bytes": ("peak memory, GB", "{:.2f}"),
    "to_first_step_s": ("start to first step, s", "{:.1f}"),
    "load_s": ("load, s", "{:.2f}"),
}
# (contender, against which): ratios of the table.
RATIOS = [
    ("ptune", "peft"),
    ("ptune", "published"),
    ("ptune", "plain"),
    ("ptune-bf16", "peft-bf16"),
    ("ptune-bf16", "peft-compiled"),
    ("unshared", "peft"),
    ("unshared", "floor"),
]
# Positions of a batch for which the number of steps counts; larger batches take fewer.
FULL_STEPS = 1024


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
    parser.add_argument("--model", choices=MODELS, default="smollm2-135m", help="what is trained (%(default)s)")
    parser.add_argument("--contenders", help=f"any of {', '.join(NAMES)} (peft or published, and ptune)")
    parser.add_argument("--batch", default="8,32", help="batch sizes (%(default)s)")
    parser.add_argument("--length", default="16", help="tokens of an example, virtual ones among them (%(default)s)")
    parser.add_argument("--virtual", type=int, default=9, help="virtual tokens; six of them lead (%(default)s)")
    parser.add_argument("--steps", type=int, default=8, help="timed steps of a run, after one to warm up (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (%(default)s)")
    parser.add_argument("--device", default="flex", help="ptune's device (%(default)s)")
    parser.add_argument("--output", type=Path, help="file for all figures as JSON")
    parser.add_argument("--chart", type=Path, help="file for a picture, .png or .svg")
    args = parser.parse_args()
    args.names = (args.contenders or f"{MODELS[args.model][1]},ptune").split(",")
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"no contender {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if foreign := set(args.names) & ({"published"} if MODELS[args.model][1] == "peft" else set(PEFT)):
        parser.error(f"{', '.join(sorted(foreign))} cannot train {args.model}")
    try:
        args.batches = [int(size) for size in args.batch.split(",")]
        args.lengths = [int(length) for length in args.length.split(",")]
    except ValueError:
        parser.error("--batch and --length take whole numbers with commas between them")
    if min(args.batches) < 1 or args.rounds < 1 or args.steps < 1:
        parser.error("--batch, --rounds and --steps have to be at least 1")
    if not 0 < args.virtual < min(args.lengths):
        parser.error("--virtual has to lie between 0 and --length")
    if not args.ptune.is_file() and (set(PTUNE) & set(args.names) or not args.hf):
        parser.error(f"{args.ptune}: no such file; run `cargo build --release`, or name it by --ptune")
    return args


class OutOfMemory(Exception):
    """What a contender needs is not there."""


def limit_memory() -> None:
    """Makes a process that asks for more than there is fail, where the system might end another one."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        resource.setrlimit(resource.RLIMIT_DATA, (there, there))


def run(command: list) -> str:
    """A command's standard output; a failure ends the benchmark with what it said."""
    command = [str(part) for part in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit_memory)
    if done.returncode != 0:
        if done.returncode == -9 or any(sign in done.stderr for sign in ("allocate memory", "out of memory", "memory allocation of")):
            raise OutOfMemory
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
    folder = cache_dir() / "hf" / "smollm2-135m"
    if not folder.is_dir():
        print(f"dequantising the backbone into {folder}", file=sys.stderr)
        run([args.ptune, "fetch", "smollm2-135m"])
        gguf = cache_dir() / "backbones" / "smollm2-135m" / GGUF
        run([python, HERE.parent / "reference" / "gguf_to_hf.py", gguf, folder])
    return folder


def commands(args: argparse.Namespace) -> dict[str, list]:
    """The program of each contender."""
    ptune = [args.ptune, "bench", "--backbone", MODELS[args.model][0], "--device", args.device, "--json"]
    programs: dict[str, list] = {name: [*ptune, *flags] for name, flags in PTUNE.items()}
    if set(args.names) - set(PTUNE):
        python = environment(args)
        folder = args.model if MODELS[args.model][0].startswith("random:") else backbone(args, python)
        device = "cpu" if args.device in ("flex", "tch") else "cuda"
        peft = [python, HERE / "peft_step.py", folder, "--device", device]
        programs |= {name: [*peft, *flags] for name, flags in PEFT.items()}
        programs["published"] = [python, HERE / "masked_step.py", "--device", device]
        programs["floor"] = [python, HERE / "floor.py", folder]
    return programs


def measure(args: argparse.Namespace) -> list[dict]:
    """One row for each round, shape and contender."""
    programs = commands(args)
    rows: list[dict] = []
    for round_ in range(args.rounds):
        order = args.names if round_ % 2 == 0 else args.names[::-1]
        for length, batch in shapes(args):
            for name in order:
                if any(row.get("out_of_memory") for row in chosen(rows, length, batch, name)):
                    continue
                steps = max(2, min(args.steps, args.steps * FULL_STEPS // (length * batch)))
                shape = ["--batch", batch, "--length", length, "--virtual", args.virtual, "--steps", steps]
                row = {"round": round_, "length": length, "batch": batch, "contender": name}
                rows.append(row)
                where = f"round {round_ + 1}/{args.rounds} length {length} batch {batch} {name}"
                started = time.time()
                try:
                    # The last line: what a library prints before it is not ours.
                    figures = json.loads(run(programs[name] + shape).strip().splitlines()[-1])
                except OutOfMemory:
                    row["out_of_memory"] = True
                    print(f"{where}: out of memory", file=sys.stderr)
                    continue
                figures["train_tokens_per_s"] = figures["train_examples_per_s"] * length
                if done := figures.pop("first_step_done_at", None):
                    figures["to_first_step_s"] = done - started
                row |= figures
                print(f"{where}: train {figures['train_examples_per_s']:.1f}/s, "
                      f"evaluate {figures['eval_examples_per_s']:.1f}/s", file=sys.stderr)  # fmt: skip
    return rows


def shapes(args: argparse.Namespace) -> list[tuple[int, int]]:
    return [(length, batch) for length in args.lengths for batch in args.batches]


def chosen(rows: list[dict], length: int, batch: int, name: str) -> list[dict]:
    """Rows of one contender at one shape, in the order of the rounds."""
    return [r for r in rows if (r["length"], r["batch"], r["contender"]) == (length, batch, name)]


def medians(rows: list[dict], length: int, batch: int, name: str) -> dict[str, float]:
    own = chosen(rows, length, batch, name)
    return {f: statistics.median(r[f] for r in own) for f in FIELDS if all(f in r for r in own)}


def ratios(rows: list[dict], length: int, batch: int, name: str, against: str) -> dict[str, list[float]]:
    """A contender's figures over another's, by round."""
    pairs = list(zip(chosen(rows, length, batch, name), chosen(rows, length, batch, against)))
    return {f: [a[f] / b[f] for a, b in pairs] for f in FIELDS if pairs and all(f in a and f in b for a, b in pairs)}


def asked(args: argparse.Namespace) -> list[tuple[str, str]]:
    return [pair for pair in RATIOS if set(pair) <= set(args.names)]


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(args: argparse.Namespace, rows: list[dict]) -> str:
    lines = [
        f"{args.model}, {args.virtual} virtual tokens, {args.rounds} rounds of {args.steps} steps, "
        f"{processor()}, {os.cpu_count()} threads.",
        "",
        "| length | batch | | " + " | ".join(heading for heading, _ in FIELDS.values()) + " |",
        "|" + "---|" * (len(FIELDS) + 3),
    ]
    for length, batch in shapes(args):
        for name in args.names:
            m = medians(rows, length, batch, name)
            if not m:
                lines.append(f"| {length} | {batch} | {name} | out of memory |" + " |" * (len(FIELDS) - 1))
                continue
            if "peak_memory_bytes" in m:
                m["peak_memory_bytes"] /= 1e9
            cells = [form.format(m[f]) if f in m else "" for f, (_, form) in FIELDS.items()]
            lines.append(f"| {length} | {batch} | {name} | {' | '.join(cells)} |")
        for name, against in asked(args):
            by_field = ratios(rows, length, batch, name, against)
            if not any(by_field.values()):
                continue
            cells = []
            for f in FIELDS:
                r = by_field.get(f)
                cells.append(f"{statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" if r else "")
            lines.append(f"| {length} | {batch} | {name} / {against} | {' | '.join(cells)} |")
    return "\n".join(lines)


def chart(args: argparse.Namespace, result: dict) -> None:
    """Draws the result, in the environment that has what it takes."""
    subprocess.run(
        [str(environment(args)), str(HERE / "chart.py"), str(args.chart)],
        input=json.dumps(result), text=True, check=True,
    )  # fmt: skip


def main() -> None:
    args = arguments()
    rows = measure(args)
    print(table(args, rows))
    setting = {"backbone": args.model, "virtual": args.virtual, "steps": args.steps, "rounds": args.rounds, "device": args.device}
    machine = {"processor": processor(), "threads": os.cpu_count(), "system": platform.system()}
    result = {
        "setting": setting,
        "machine": machine,
        "medians": [
            {"length": length, "batch": batch, "contender": name, **medians(rows, length, batch, name)}
            for length, batch in shapes(args)
            for name in args.names
        ],
        "ratios": [
            {"length": length, "batch": batch, "of": name, "to": against, **ratios(rows, length, batch, name, against)}
            for length, batch in shapes(args)
            for name, against in asked(args)
        ],
        "runs": rows,
    }
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n")
    if args.chart:
        chart(args, result)


if __name__ == "__main__":
    main()
