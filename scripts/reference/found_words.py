#!/usr/bin/env python3
"""Writes crates/ptuning-core/tests/golden/found_words.json: label words found, by PyTorch and NumPy.

    .venv/bin/python scripts/reference/found_words.py [--output FILE]

`automatic`: 12 rows of random logits of 30 words with labels 0 to 2; for each label and word the mean of
log(p / (1 - p)) over the label's rows less that over all others (Schick et al. 2020), and the words' mean
probabilities. `knowledgeable`: random probabilities of 14 words on 20 inputs; two labels of which the first
2 and 1 words are their own; of the others those stay whose prior is not in the lower `cutoff` and whose
relevance r(v, own) / mean of r(v, others) is at least 1, r being the cosine with the mean of the label's own
words (Hu et al. 2022), the `most` most relevant of them. float64.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch

LABELS = [2, 0, 1, 1, 0, 2, 2, 2, 0, 1, 0, 2]
OWN = [2, 1]
SIZES = [8, 6]


def automatic():
    logits = (2 * torch.randn(len(LABELS), 30)).double()
    p = logits.softmax(-1)
    odds = (p / (1 - p)).log()
    labels = torch.tensor(LABELS)
    ratios = [odds[labels == y].mean(0) - odds[labels != y].mean(0) for y in range(3)]
    return {
        "logits": logits.flatten().tolist(),
        "labels": LABELS,
        "ratios": torch.stack(ratios).flatten().tolist(),
        "frequencies": p.mean(0).tolist(),
    }


def knowledgeable(cutoff, most):
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.full(200, 0.3), size=20)[:, : sum(SIZES)].astype(np.float32).astype(np.float64)
    rare = np.sort(p.mean(0))[int(p.shape[1] * cutoff)]
    starts = np.cumsum([0, *SIZES])
    names = [p[:, start : start + own].mean(1) for start, own in zip(starts, OWN)]
    cosine = lambda a, b: a @ b / np.sqrt((a @ a) * (b @ b))
    kept = []
    for label, (start, own, size) in enumerate(zip(starts, OWN, SIZES)):
        relevance = {}
        for word in range(start + own, start + size):
            others = np.mean([cosine(p[:, word], name) for i, name in enumerate(names) if i != label])
            relevance[word] = cosine(p[:, word], names[label]) / others
        fit = [word for word in relevance if p[:, word].mean() >= rare and relevance[word] >= 1]
        fit = sorted(sorted(fit, key=lambda word: -relevance[word])[:most])
        kept.append([*range(start, start + own), *fit])
    return {
        "probabilities": p.flatten().tolist(),
        "cutoff": cutoff,
        "most": most,
        "kept": [[int(word) for word in words] for words in kept],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("crates/ptuning-core/tests/golden/found_words.json"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    golden = {
        "automatic": automatic(),
        "own": OWN,
        "sizes": SIZES,
        "knowledgeable": [knowledgeable(0.0, 9), knowledgeable(0.4, 9), knowledgeable(0.0, 1)],
    }
    arguments.output.write_text(json.dumps(golden, indent=None) + "\n")


if __name__ == "__main__":
    main()
