#!/usr/bin/env python3
"""Paired bootstrap intervals by SciPy, for crates/trainer/tests/compare.rs.

    python scripts/reference/paired_bootstrap.py > crates/trainer/tests/golden/paired_bootstrap.json

Ranks of 200 examples of two runs, the second a little better; the percentile interval of the difference of P@1 and
of MRR, examples drawn 20,000 times in pairs.
"""

import json

import numpy as np
from scipy.stats import bootstrap


def main() -> None:
    rng = np.random.default_rng(7)
    first = rng.geometric(0.35, 200)
    second = np.maximum(1, first - rng.integers(-1, 3, 200))
    cases = {}
    for name, score in {"p1": lambda rank: (rank == 1).astype(float), "mrr": lambda rank: 1.0 / rank}.items():
        a, b = score(first), score(second)
        found = bootstrap(
            (a, b),
            lambda a, b, axis=-1: b.mean(axis) - a.mean(axis),
            paired=True,
            vectorized=True,
            n_resamples=20_000,
            method="percentile",
            rng=np.random.default_rng(1),
        )  # fmt: skip
        low, high = found.confidence_interval
        cases[name] = {"difference": float(b.mean() - a.mean()), "low": float(low), "high": float(high)}
    print(json.dumps({"first": first.tolist(), "second": second.tolist(), **cases}))


if __name__ == "__main__":
    main()
