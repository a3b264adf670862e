#!/usr/bin/env python3
"""Ten losses of P-tuning the tiny Llama, from a given start over given batches.

    python scripts/reference/tiny_llama.py
    python scripts/reference/training_curve.py

Writes crates/trainer/tests/golden/training_curve.safetensors, the prompt encoder's start by
PyTorch's names (n 4, hidden 24, lstm), and training_curve.json:

{"backbone": "tiny_llama", "n", "hidden", "encoder": "lstm",
 "steps": [{"rows": [{"ids": [..], "slots": [[position, virtual token], ..], "label"}]} x 10],
 "runs": [{"name", "optimizer" ("adam" or "adamw"), "lr", "beta1", "beta2", "eps", "weight_decay",
           "schedule" ("constant" or "linear"), "warmup_steps", "total_steps", "clip_norm" (or null),
           "rates": [rate of each step], "losses": [mean cross-entropy over the whole vocabulary,
           before each step], "norms": [norm of all gradients together, before clipping]}]}

`ids` hold 0 at a slot; the answer is predicted by a row's last position.
"""

import argparse
import copy

import torch
from common import golden, number, save_json, save_tensors
from prompt_encoder import PromptEncoder
from transformers import AutoModelForCausalLM, AutoTokenizer, get_constant_schedule, get_linear_schedule_with_warmup
from tiny_llama import CAPITALS

N, STEPS, BATCH = 4, 10, 3
ADAM = dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
ADAMW = dict(lr=1e-2, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)
RUNS = [
    ("adam", torch.optim.Adam, ADAM, None, None),
    ("adamw_warmup_clip", torch.optim.AdamW, ADAMW, 3, 0.5),
]


def batches(tok) -> list[dict]:
    """Rows of `[h:2] capital [x] [h:2] [z]`; subjects differ in length, so batches are padded."""
    steps = []
    for step in range(STEPS):
        rows = []
        for i in range(BATCH):
            country, city = CAPITALS[(step * BATCH + i * 5) % len(CAPITALS)]
            middle = tok(f" capital {country}").input_ids
            ids = [0, 0, *middle, 0, 0]
            slots = [[0, 0], [1, 1], [len(ids) - 2, 2], [len(ids) - 1, 3]]
            rows.append({"ids": ids, "slots": slots, "label": tok(f" {city}").input_ids[0]})
        steps.append({"rows": rows})
    return steps


def loss_of(lm, encoder: PromptEncoder, rows: list[dict]) -> torch.Tensor:
    lengths = torch.tensor([len(row["ids"]) for row in rows])
    seq = int(lengths.max())
    ids = torch.tensor([row["ids"] + [0] * (seq - len(row["ids"])) for row in rows])
    prompt = encoder()
    embeddings = lm.get_input_embeddings()(ids).clone()
    for i, row in enumerate(rows):
        for position, virtual in row["slots"]:
            embeddings[i, position] = prompt[virtual]
    attend = (torch.arange(seq)[None] < lengths[:, None]).long()
    hidden = lm.model(inputs_embeds=embeddings, attention_mask=attend).last_hidden_state
    logits = lm.lm_head(hidden[torch.arange(len(rows)), lengths - 1])
    return torch.nn.functional.cross_entropy(logits, torch.tensor([row["label"] for row in rows]))


def run(lm, start: PromptEncoder, steps: list[dict], make, options: dict, warmup: int | None, clip: float | None) -> dict:
    encoder = copy.deepcopy(start)
    optimizer = make(encoder.parameters(), **options)
    if warmup is None:
        schedule = get_constant_schedule(optimizer)
    else:
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, STEPS)
    rates, losses, norms = [], [], []
    for step in steps:
        loss = loss_of(lm, encoder, step["rows"])
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(encoder.parameters(), clip if clip is not None else float("inf"))
        rates.append(schedule.get_last_lr()[0])
        losses.append(number(loss.item()))
        norms.append(number(norm.item()))
        optimizer.step()
        schedule.step()
    return {"rates": rates, "losses": losses, "norms": norms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    torch.manual_seed(parser.parse_args().seed)
    folder = golden("backbone", "tiny_llama", "config.json").parent
    lm = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval().requires_grad_(False)
    tok = AutoTokenizer.from_pretrained(folder)
    start = PromptEncoder(N, lm.config.hidden_size, "lstm")
    with torch.no_grad():
        # From PyTorch's own start the vectors are so short that RMSNorm magnifies rounding
        # errors, and losses of two honest implementations drift apart by 1e-3.
        for parameter in start.mlp.parameters():
            parameter.mul_(3)
    steps = batches(tok)
    runs = []
    for name, make, options, warmup, clip in RUNS:
        beta1, beta2 = options["betas"]
        runs.append({
            "name": name, "optimizer": make.__name__.lower(), "lr": options["lr"], "beta1": beta1, "beta2": beta2,
            "eps": options["eps"], "weight_decay": options["weight_decay"],
            "schedule": "constant" if warmup is None else "linear", "warmup_steps": warmup or 0,
            "total_steps": STEPS, "clip_norm": clip, **run(lm, start, steps, make, options, warmup, clip),
        })  # fmt: skip
    save_tensors(golden("trainer", "training_curve.safetensors"), dict(start.named_parameters()))
    save_json(golden("trainer", "training_curve.json"), {
        "backbone": folder.name, "n": N, "hidden": lm.config.hidden_size, "encoder": "lstm", "steps": steps, "runs": runs,
    })  # fmt: skip


if __name__ == "__main__":
    main()
