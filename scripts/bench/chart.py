#!/usr/bin/env python3
"""Draws the figures of bench.py.

    python scripts/bench/chart.py chart.png < bench.json

One panel for each of training, evaluation and peak memory; a group of bars for each shape, a bar for
each contender. Needs matplotlib.
"""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

# Field, title, and what its figure is multiplied by for a shape: tokens compare across lengths.
PANELS = [
    ("train_examples_per_s", "training, tokens/s", lambda length: length),
    ("eval_examples_per_s", "evaluation, tokens/s", lambda length: length),
    ("peak_memory_bytes", "peak memory, GB", lambda length: 1e-9),
]


def main() -> None:
    result = json.load(sys.stdin)
    medians = result["medians"]
    shapes = list(dict.fromkeys((m["length"], m["batch"]) for m in medians))
    names = list(dict.fromkeys(m["contender"] for m in medians))
    figure, axes = plt.subplots(len(PANELS), 1, figsize=(max(6, 1.2 * len(shapes) + 2), 9), layout="constrained")
    width = 0.8 / len(names)
    for axis, (field, title, unit) in zip(axes, PANELS):
        for index, name in enumerate(names):
            own = {(m["length"], m["batch"]): m.get(field) for m in medians if m["contender"] == name}
            bars = [(i, own[shape] * unit(shape[0])) for i, shape in enumerate(shapes) if own.get(shape) is not None]
            places = [i + (index - (len(names) - 1) / 2) * width for i, _ in bars]
            drawn = axis.bar(places, [value for _, value in bars], width * 0.92, label=name)
            axis.bar_label(drawn, fmt="%.3g", fontsize=7)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xticks(range(len(shapes)), [f"length {length}\nbatch {batch}" for length, batch in shapes], fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(y=0.15)
    axes[0].legend(frameon=False, ncols=len(names), fontsize=8, loc="upper right", bbox_to_anchor=(1, 1.25))
    machine, setting = result["machine"], result["setting"]
    figure.suptitle(
        f"{setting['backbone']}, {setting['virtual']} virtual tokens, {machine['processor']}, {machine['threads']} threads",
        fontsize=10,
    )
    figure.savefig(sys.argv[1], dpi=150)


if __name__ == "__main__":
    main()
