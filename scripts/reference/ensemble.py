#!/usr/bin/env python3
"""Writes crates/ptuning-core/tests/golden/ensemble.json: opinions of templates put together, by PyTorch.

    .venv/bin/python scripts/reference/ensemble.py [--output FILE]

Three templates' log-probabilities of 4 answers on 30 examples, the first of which tends to the right answer.
`mean` and `weighted` are log-softmax of the (weighted) sum, `votes` counts each template's best answer, and
`learned` are the weights that minimise the mean cross-entropy plus ridge / 2 · Σ (weight − 1/3)², by L-BFGS.
float64.
"""
import argparse
import json
from pathlib import Path

import torch

RIDGE = 1e-2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("crates/ptuning-core/tests/golden/ensemble.json"))
    arguments = parser.parse_args()
    torch.manual_seed(1)
    answers = torch.randint(0, 4, (30,))
    raw = torch.randn(3, 30, 4).double()
    raw[0, torch.arange(30), answers] += 1.0
    opinions = raw.log_softmax(-1).float().double()
    given = torch.tensor([0.7, -0.1, 0.4]).double()

    weights = torch.full((3,), 1 / 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=500, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        scores = torch.einsum("t,tea->ea", weights, opinions)
        value = torch.nn.functional.cross_entropy(scores, answers) + RIDGE / 2 * ((weights - 1 / 3) ** 2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    golden = {
        "opinions": opinions.flatten().tolist(),
        "answers": answers.tolist(),
        "weights": given.tolist(),
        "mean": opinions.mean(0).log_softmax(-1).flatten().tolist(),
        "weighted": torch.einsum("t,tea->ea", given, opinions).log_softmax(-1).flatten().tolist(),
        "votes": torch.nn.functional.one_hot(opinions.argmax(-1), 4).sum(0).flatten().tolist(),
        "learned": weights.detach().tolist(),
    }
    arguments.output.write_text(json.dumps(golden, indent=None) + "\n")


if __name__ == "__main__":
    main()
