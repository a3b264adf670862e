#!/usr/bin/env python3
"""What of a verbalizer is learned, in PyTorch: word weights (KPT) and label vectors (WARP).

    python scripts/reference/learned_labels.py

Writes crates/ptuning-core/tests/golden/learned_labels.json: a head of VOCAB rows by formula, states, labels
with words (first tokens) and weights, and for each case {"kind": "weights" or "soft", "aggregate", "calibrated",
"value": what is learned before the first step (the logarithms of weights, or label vectors), "losses": of each
row at the first step, "grad_states", "grad_value" of their mean there, "curve": ten mean losses while it learns by
Adam at LR, "after": the weights that label words have then, of mean 1 in each label, or the vectors}.
"""

import argparse

import torch
from common import array, golden, number, numbers, save_json

VOCAB, HIDDEN, ROWS, LR = 24, 6, 5, 0.1
LABELS = [("good", [3, 7, 11], [1.0, 2.0, 0.5]), ("bad", [5, 2], [1.0, 1.0]), ("so so", [20], [3.0])]
ASKED = [0, 2, 1, 1, 0]


def head() -> torch.Tensor:
    return torch.tensor([((i * 37 % 101) - 50) / 50 for i in range(VOCAB * HIDDEN)]).reshape(VOCAB, HIDDEN)


def label_scores(logits: torch.Tensor, weights: torch.Tensor, aggregate: str, prior) -> torch.Tensor:
    words = [word for _, ids, _ in LABELS for word in ids]
    scores = logits[:, words].log_softmax(1)
    if prior is not None:
        scores = (scores - prior).log_softmax(1)
    found, first = [], 0
    for _, ids, _ in LABELS:
        own, weight = scores[:, first : first + len(ids)], weights[first : first + len(ids)].softmax(0)
        first += len(ids)
        if aggregate == "mean":
            found.append((own.exp() * weight).sum(1).log())
        elif aggregate == "mean-log":
            found.append((own * weight).sum(1))
        else:
            found.append((own.exp() * weight * len(ids)).amax(1).log())
    return torch.stack(found, 1).log_softmax(1)


def case(kind: str, aggregate: str, prior, states: torch.Tensor) -> dict:
    table = head()
    given = [torch.tensor(weights) for _, _, weights in LABELS]
    if kind == "soft":
        value = torch.stack([(w / w.sum()) @ table[ids] for (_, ids, _), w in zip(LABELS, given)])
    else:
        value = torch.cat(given).log()
    start, value, states = value.clone(), value.clone().requires_grad_(), states.clone().requires_grad_()

    def losses() -> torch.Tensor:
        if kind == "soft":
            scores = states @ value.T
        else:
            scores = label_scores(states @ table.T, value, aggregate, prior)
        return torch.nn.functional.cross_entropy(scores, torch.tensor(ASKED), reduction="none")

    first = losses()
    first.mean().backward()
    grad_states, grad_value = states.grad.clone(), value.grad.clone()
    optimizer, curve = torch.optim.Adam([value], lr=LR), []
    for _ in range(10):
        loss = losses().mean()
        curve.append(number(loss.item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after, begin = value.detach(), 0
    if kind == "weights":
        parts = []
        for _, ids, _ in LABELS:
            parts.append(after[begin : begin + len(ids)].softmax(0) * len(ids))
            begin += len(ids)
        after = torch.cat(parts)
    return {
        "kind": kind, "aggregate": aggregate, "calibrated": prior is not None, "value": numbers(start),
        "losses": numbers(first), "grad_states": numbers(grad_states), "grad_value": numbers(grad_value),
        "curve": curve, "after": numbers(after),
    }  # fmt: skip


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.manual_seed(0)
    states = torch.randn(ROWS, HIDDEN)
    words = sum(len(ids) for _, ids, _ in LABELS)
    prior = torch.randn(4, words).log_softmax(1).exp().mean(0).log()
    cases = [case("weights", aggregate, p, states) for aggregate in ("mean", "mean-log", "max") for p in (None, prior)]
    cases.append(case("soft", "mean", None, states))
    labels = [
        {"name": name, "words": [{"text": f"w{i}", "weight": w, "id": i} for i, w in zip(ids, weights)]} for name, ids, weights in LABELS
    ]
    save_json(golden("ptuning-core", "learned_labels.json"), {
        "vocab": VOCAB, "hidden": HIDDEN, "lr": LR, "states": array(states), "labels": labels, "asked": ASKED, "prior": numbers(prior), "cases": cases,
    })  # fmt: skip


if __name__ == "__main__":
    main()
