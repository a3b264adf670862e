#!/usr/bin/env python3
"""Writes crates/ptuning-core/tests/golden/label_words.json: label words scored by PyTorch.

    .venv/bin/python scripts/reference/label_words.py [--output FILE]

Random logits of 5 rows and 40 words; three labels of 3, 1 and 2 words with weights; every way of
aggregating, with and without a prior (the mean probability of the words over four other rows). For each
case: log-probabilities of words and labels, the mean cross-entropy of some labels and its gradient with
respect to the logits, by PyTorch's autograd, in float64.
"""
import argparse
import json
from pathlib import Path

import torch

LABELS = [
    ("positive", [("great", 2.0, 7), ("fine", 1.0, 31), ("fantastic", 0.5, 2)]),
    ("neutral", [("okay", 1.0, 19)]),
    ("negative", [("bad", 1.0, 23), ("boring", 3.0, 11)]),
]
ASKED = [0, 2, 1, 2, 0]


def aggregate(kind, scores, weights):
    if kind == "mean":
        return torch.log((scores.exp() * (weights / weights.sum())).sum(-1))
    if kind == "mean-log":
        return (scores * weights).sum(-1) / weights.sum()
    return torch.log((scores.exp() * weights).max(-1).values)


def case(kind, logits, prior_logits):
    words = [word for _, words in LABELS for word in words]
    ids = [index for _, _, index in words]
    logits = logits.clone().requires_grad_()
    scores = logits[:, ids].log_softmax(-1)
    if prior_logits is not None:
        prior = prior_logits[:, ids].softmax(-1).mean(0)
        scores = (scores.exp() / prior).log().log_softmax(-1)
    labels, first = [], 0
    for _, group in LABELS:
        weights = torch.tensor([weight for _, weight, _ in group], dtype=torch.float64)
        labels.append(aggregate(kind, scores[:, first : first + len(group)], weights))
        first += len(group)
    labels = torch.stack(labels, -1).log_softmax(-1)
    loss = torch.nn.functional.nll_loss(labels, torch.tensor(ASKED))
    loss.backward()
    return {
        "aggregate": kind,
        "calibrated": prior_logits is not None,
        "words": scores.flatten().tolist(),
        "labels": labels.flatten().tolist(),
        "loss": loss.item(),
        "gradient": [[row, column, value] for (row, column), value in
                     ((tuple(at), logits.grad[tuple(at)].item()) for at in logits.grad.nonzero().tolist())],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("crates/ptuning-core/tests/golden/label_words.json"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    logits = (3 * torch.randn(5, 40)).double()
    prior = (3 * torch.randn(4, 40)).double()
    cases = [case(kind, logits, given) for kind in ["mean", "mean-log", "max"] for given in [None, prior]]
    golden = {
        "labels": [
            {"name": name, "words": [{"text": t, "weight": w, "id": i} for t, w, i in words]} for name, words in LABELS
        ],
        "asked": ASKED,
        "logits": logits.flatten().tolist(),
        "prior_logits": prior.flatten().tolist(),
        "cases": cases,
    }
    arguments.output.write_text(json.dumps(golden, indent=None) + "\n")


if __name__ == "__main__":
    main()
