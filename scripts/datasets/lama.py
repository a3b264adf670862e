#!/usr/bin/env python3
"""Writes datasets/lama: the fact pairs of three relations, and nothing else of LAMA.

    python3 scripts/datasets/lama.py SOURCE [--out datasets/lama]

SOURCE holds P36/train.jsonl and so on: the AutoPrompt split of LAMA T-REx, as OptiPrompt and
P-tuning ship it. Of each row the labels and, where given, the Wikidata identifiers are kept.
"""
import argparse
import json
from pathlib import Path

RELATIONS = ["P36", "P1376", "P30"]
SPLITS = ["train", "dev", "test"]
KEYS = ["sub_uri", "sub_label", "obj_uri", "obj_label"]


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("source", type=Path)
    arguments.add_argument("--out", type=Path, default=Path("datasets/lama"))
    arguments = arguments.parse_args()
    for relation in RELATIONS:
        for split in SPLITS:
            source = arguments.source / relation / f"{split}.jsonl"
            rows = [json.loads(line) for line in source.read_text("utf-8").splitlines() if line]
            rows = [{key: row[key] for key in KEYS if key in row} for row in rows]
            for number, row in enumerate(rows, 1):
                if not (row.get("sub_label", "").strip() and row.get("obj_label", "").strip()):
                    raise SystemExit(f"{source}:{number}: a row without subject or object")
            out = arguments.out / relation / f"{split}.jsonl"
            out.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            out.write_text(text, "utf-8", newline="\n")
            print(f"{relation} {split} {len(rows)}")


if __name__ == "__main__":
    main()
