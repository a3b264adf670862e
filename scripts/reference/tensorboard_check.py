#!/usr/bin/env python3
"""Holds a run's event file against TensorBoard itself.

    python scripts/reference/tensorboard_check.py RUN

Reads the run folder with TensorBoard's EventAccumulator and compares every scalar with metrics.jsonl and
evaluation.json, which ptune writes beside it. Exits 1 where one is missing, stands twice or differs.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SCORES = {"p1": "P@1", "p10": "P@10", "mrr": "MRR", "loss": "loss", "macro_f1": "macro F1", "entity_f1": "entity F1"}


def expected(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and numbers of each tag, by the run's own files."""
    tags: dict[str, list[tuple[int, float]]] = {}

    def add(tag: str, step: int, number: float) -> None:
        tags.setdefault(tag, []).append((step, float(numpy.float32(number))))

    def add_scores(group: str, step: int, scores: dict) -> None:
        for key, name in SCORES.items():
            if key in scores and not (key == "loss" and group.endswith("/majority")):
                add(f"{group}/{name}", step, scores[key])

    best = 0
    for line in (run / "metrics.jsonl").read_text().splitlines():
        metric = json.loads(line)
        step = metric["step"]
        if metric["kind"] == "step":
            add("train/loss", step, metric["loss"])
            add("train/learning_rate", step, metric["lr"])
        else:
            best = step if metric["best"] else best
            add("train/epoch_loss", step, metric["train_loss"])
            add("train/examples_per_second", step, metric["examples_per_second"])
            add_scores("dev", step, metric["dev"])
    evaluation = run / "evaluation.json"
    for split in json.loads(evaluation.read_text()) if evaluation.is_file() else []:
        for key, group in [("prompt", ""), ("manual", "/manual"), ("majority", "/majority")]:
            if split.get(key):
                add_scores(f"evaluation/{split['split']}{group}", best, split[key])
    return tags


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder")
    args = parser.parse_args()
    if not (args.run / "metrics.jsonl").is_file():
        parser.error(f"{args.run}: no run folder")
    # 0: keep every event, where TensorBoard would draw a sample.
    accumulator = EventAccumulator(str(args.run), size_guidance={"scalars": 0})
    accumulator.Reload()
    found = {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }
    wanted = expected(args.run)
    for tag in sorted(wanted.keys() | found.keys()):
        if wanted.get(tag) != found.get(tag):
            sys.exit(f"{tag}: expected {wanted.get(tag)}, TensorBoard reads {found.get(tag)}")
    print(f"{sum(map(len, found.values()))} numbers of {len(found)} tags, as the run has them")


if __name__ == "__main__":
    main()
