#!/usr/bin/env python3
"""Writes crates/ptuning-core/tests/golden/entities.json: entities judged by seqeval.

    .venv/bin/python scripts/reference/entities.py [--output FILE]

Random tags of a few sentences, asked for and predicted: predictions that copy what is asked for, shift it, change a
label, or are random; entities that touch, sequences that begin with I-, sentences and cases without entities.
For each case the entities as seqeval's get_entities reads them, and seqeval's precision, recall and F1, micro,
macro and of each label. A case without any entity has no macro average in seqeval; its micro average is 0.
Tags are one string for each sentence.
"""
import argparse
import json
import random
import warnings
from pathlib import Path

import numpy
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

LABELS = ["person", "place", "group"]
CASES = 240


def asked(rng, words, labels):
    tags = []
    while len(tags) < words:
        if rng.random() < 0.5:
            tags.append("O")
            continue
        label = rng.choice(labels)
        length = rng.choice([1, 1, 2, 3])
        tags += [f"B-{label}"] + [f"I-{label}"] * (length - 1)
    return tags[:words]


def predicted(rng, tags, labels):
    kind = rng.choice(["same", "noise", "noise", "shift", "random", "none"])
    if kind == "none":
        return ["O"] * len(tags)
    if kind == "random":
        return asked(rng, len(tags), labels)
    if kind == "shift":
        return (["O"] + tags)[: len(tags)]
    tags = list(tags)
    if kind == "noise":
        # Some of these begin with I-, or go on with another label.
        for place in range(len(tags)):
            if rng.random() < 0.25:
                tags[place] = rng.choice(["O"] + [f"{sign}-{label}" for sign in "BI" for label in labels])
    return tags


def scores(gold, found, average):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = precision_recall_fscore_support(gold, found, average=average, zero_division=0)
    return [numpy.asarray(value).tolist() for value in values[:3]]


def case(rng, number):
    labels = LABELS[: 1 + number % 3]
    sentences = rng.choice([1, 2, 3])
    gold = [asked(rng, rng.randrange(1, 9), labels) for _ in range(sentences)]
    if number % 10 == 0:
        gold = [["O"] * len(tags) for tags in gold]
    found = [predicted(rng, tags, labels) for tags in gold]
    if number % 20 == 0:
        found = [["O"] * len(tags) for tags in found]
    entities = lambda all: [[[start, end + 1, label] for label, start, end in get_entities(tags)] for tags in all]
    row = {"asked": [" ".join(tags) for tags in gold], "found": [" ".join(tags) for tags in found]}
    row["entities"] = entities(found)
    names = sorted({one[2] for all in (entities(gold), row["entities"]) for tags in all for one in tags})
    row["micro"] = scores(gold, found, "micro") if names else [0.0, 0.0, 0.0]
    row["macro"] = scores(gold, found, "macro") if names else [0.0, 0.0, 0.0]
    # seqeval tells labels in this order.
    each = scores(gold, found, None) if names else [[], [], []]
    row["labels"] = {name: [values[at] for values in each] for at, name in enumerate(names)}
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path("crates/ptuning-core/tests/golden/entities.json")
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    rng = random.Random(0)
    cases = [case(rng, number) for number in range(CASES)]
    rows = ",\n".join(json.dumps(row) for row in cases)
    arguments.output.write_text(f"[\n{rows}\n]\n")
    print(f"{arguments.output}: {len(cases)} cases, {arguments.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
