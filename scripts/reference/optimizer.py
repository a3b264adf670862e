#!/usr/bin/env python3
"""torch.optim's Adam and AdamW over given gradients, and learning rates by schedule.

    python scripts/reference/optimizer.py

Writes crates/trainer/tests/golden/optimizer.json and schedules.json.

optimizer.json: {"parameters": {NAME: {"shape", "data"}}, "gradients": [{NAME: [..]} x 20],
"runs": [{"name", "optimizer" ("adam" or "adamw"), "lr", "beta1", "beta2", "eps", "weight_decay",
"after": [{"step": 5, "parameters": {NAME: [..]}}, 10, 15, 20]}]}. Adam's weight decay is the
coupled kind (added to the gradient), AdamW's the decoupled.

schedules.json: {"schedules": [{"name", "kind", "lr", "total_steps", "warmup_steps" |
"steps_per_epoch", "gamma", "rates": [rate of each step, from the first]}]}. Kinds: "constant",
"linear" and "cosine" (transformers' get_*_schedule_with_warmup), "exponential" (per epoch).
"""

import argparse

import torch
from common import array, golden, numbers, save_json
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

STEPS, EVERY = 20, 5
RUNS = [
    ("adam", "adam", dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)),
    ("adam_coupled_decay", "adam", dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=5e-2)),
    ("adamw", "adamw", dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2)),
    ("adamw_other_betas", "adamw", dict(lr=3e-3, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)),
]


def parameters() -> dict[str, torch.Tensor]:
    return {"matrix": torch.randn(3, 4), "vector": torch.randn(5), "cube": torch.randn(2, 2, 3)}


def gradients(shapes: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    steps = []
    for step in range(STEPS):
        # Scales from 1e-4 to 10, and one all-zero step, where eps and the moments matter.
        scale = 0.0 if step == 7 else 10.0 ** (step % 6 - 4)
        steps.append({name: scale * torch.randn_like(t) for name, t in shapes.items()})
    return steps


def run(start: dict, steps: list[dict], kind: str, options: dict) -> list[dict]:
    values = {name: torch.nn.Parameter(t.clone()) for name, t in start.items()}
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](values.values(), **options)
    after = []
    for step, grads in enumerate(steps, 1):
        for name, value in values.items():
            value.grad = grads[name].clone()
        optimizer.step()
        if step % EVERY == 0:
            after.append({"step": step, "parameters": {name: numbers(v) for name, v in values.items()}})
    return after


def rates(schedule, lr: float, steps: int) -> list[float]:
    """The rate that each step is taken with; `schedule` makes the scheduler from an optimiser."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler, used = schedule(optimizer), []
    for _ in range(steps):
        used.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return used


def schedules() -> list[dict]:
    rows = []
    kinds = [
        ("constant", lambda o, w, t: get_constant_schedule_with_warmup(o, w), 1e-3, 0, 6),
        ("linear", get_linear_schedule_with_warmup, 1e-3, 3, 12),
        ("linear", get_linear_schedule_with_warmup, 5e-4, 0, 8),
        ("linear", get_linear_schedule_with_warmup, 2e-3, 7, 25),
        ("cosine", get_cosine_schedule_with_warmup, 1e-3, 3, 12),
        ("cosine", get_cosine_schedule_with_warmup, 5e-4, 0, 8),
    ]
    for kind, make, lr, warmup, total in kinds:
        used = rates(lambda o, make=make, warmup=warmup, total=total: make(o, warmup, total), lr, total)
        rows.append({"name": f"{kind}_{warmup}_{total}", "kind": kind, "lr": lr, "total_steps": total, "warmup_steps": warmup, "rates": used})
    lr, gamma, epoch, total = 1e-3, 0.98, 4, 18
    per_epoch = lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: gamma ** (step // epoch))
    rows.append({"name": "exponential", "kind": "exponential", "lr": lr, "total_steps": total, "steps_per_epoch": epoch, "gamma": gamma, "rates": rates(per_epoch, lr, total)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    torch.manual_seed(parser.parse_args().seed)
    start = parameters()
    steps = gradients(start)
    runs = []
    for name, kind, options in RUNS:
        beta1, beta2 = options["betas"]
        described = {"lr": options["lr"], "beta1": beta1, "beta2": beta2, "eps": options["eps"], "weight_decay": options["weight_decay"]}
        runs.append({"name": name, "optimizer": kind, **described, "after": run(start, steps, kind, options)})
    save_json(golden("trainer", "optimizer.json"), {
        "parameters": {name: array(t) for name, t in start.items()},
        "gradients": [{name: numbers(t) for name, t in grads.items()} for grads in steps],
        "runs": runs,
    })
    save_json(golden("trainer", "schedules.json"), {"schedules": schedules()})


if __name__ == "__main__":
    main()
