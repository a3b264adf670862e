#!/usr/bin/env python3
"""Writes datasets/sentiment: movie-review sentences, positive or negative, in three splits.

    python3 scripts/datasets/sentence_polarity.py SENTENCE_POLARITY_ZIP [--out datasets/sentiment]

SENTENCE_POLARITY_ZIP is NLTK's package of the sentence polarity dataset 1.0 of Pang and Lee (2005). A
sentence that occurs twice is kept once; one that occurs with both labels is left out. Sentences are
shuffled by a fixed seed, each label by itself, and split 80/10/10.
"""
import argparse
import hashlib
import json
import zipfile
from pathlib import Path

SEED = "ptune-sentiment-1"
LABELS = {"positive": "rt-polarity.pos", "negative": "rt-polarity.neg"}


def order(text):
    """A place in the shuffle that no Python version or library changes."""
    return hashlib.sha256(f"{SEED}:{text}".encode()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--out", type=Path, default=Path("datasets/sentiment"))
    arguments = parser.parse_args()

    sentences = {}
    with zipfile.ZipFile(arguments.archive) as archive:
        for label, name in LABELS.items():
            text = archive.read(f"sentence_polarity/{name}").decode("utf-8")
            sentences[label] = {" ".join(line.split()) for line in text.splitlines() if line.strip()}
    both = sentences["positive"] & sentences["negative"]

    splits = {"train": [], "dev": [], "test": []}
    for label, texts in sentences.items():
        texts = sorted(texts - both, key=order)
        tenth = len(texts) // 10
        for split, part in [("test", texts[:tenth]), ("dev", texts[tenth : 2 * tenth]), ("train", texts[2 * tenth :])]:
            splits[split] += [{"text": text, "label": label} for text in part]

    arguments.out.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        rows.sort(key=lambda row: order(row["text"]))
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (arguments.out / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{split}: {len(rows)}")
    print(f"left out, with both labels: {len(both)}")


if __name__ == "__main__":
    main()
