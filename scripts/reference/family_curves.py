#!/usr/bin/env python3
"""Losses of every tiny family while a prompt learns, and while the whole model does.

    python scripts/reference/tiny_families.py
    python scripts/reference/family_curves.py

Writes crates/trainer/tests/golden/family_curves.json, for each tiny_FAMILY of the backbone's golden
models {"prompt": ten losses, "model": five losses}, each before its step.

Every step sees the same batch: ids, lengths and labels of the family's golden.safetensors, answers where
tiny_families.py has them. In "prompt" the first two positions of each example (or the only one) hold
virtual tokens that start from start() and learn by Adam at PROMPT_LR; in "model" all weights learn by
Adam at MODEL_LR and the ids stay as they are.
"""

import argparse
import math

import torch
from common import golden, number, save_json
from safetensors.torch import load_file
from tiny_families import CAUSAL, MASKED, POSITIONS
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

PROMPT, PROMPT_LR, MODEL_LR = 2, 0.05, 0.002


def start(width: int) -> torch.Tensor:
    """Numbers that look like nothing and need no file, [PROMPT, width]."""
    value = [[0.5 * math.sin(1.0 + 13.0 * slot + 0.7 * i) for i in range(width)] for slot in range(PROMPT)]
    return torch.tensor(value, dtype=torch.float64).float()


def losses(lm, tensors: dict, positions: torch.Tensor, learned: list, lr: float, steps: int, prompt=None) -> list[float]:
    ids, lengths, labels = tensors["ids"], tensors["lengths"], tensors["labels"]
    real = torch.arange(ids.shape[1])[None] < lengths[:, None]
    optimizer = torch.optim.Adam(learned, lr=lr)
    found = []
    for _ in range(steps):
        inputs = {"input_ids": ids}
        if prompt is not None:
            embeddings = lm.get_input_embeddings()(ids)
            slots = (torch.arange(ids.shape[1])[None] < PROMPT) & real
            rows = torch.cat([prompt, prompt.new_zeros(ids.shape[1] - PROMPT, prompt.shape[1])])
            inputs = {"inputs_embeds": torch.where(slots[..., None], rows[None], embeddings)}
        logits = lm(attention_mask=real.long(), **inputs).logits[torch.arange(len(ids)), positions]
        loss = torch.nn.functional.cross_entropy(logits, labels)
        found.append(number(loss.item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    curves = {}
    for family in MASKED | CAUSAL:
        name = "tiny_llama3" if family == "llama" else f"tiny_{family}"
        folder = golden("backbone", name, "config.json").parent
        kind = AutoModelForMaskedLM if family in MASKED else AutoModelForCausalLM
        tensors = load_file(folder / "golden.safetensors")
        positions = torch.tensor(POSITIONS) if family in MASKED else tensors["lengths"] - 1

        def load():
            return kind.from_pretrained(folder, attn_implementation="eager").eval()

        lm = load().requires_grad_(False)
        prompt = start(lm.get_input_embeddings().embedding_dim).requires_grad_()
        curve = {"prompt": losses(lm, tensors, positions, [prompt], PROMPT_LR, 10, prompt)}
        lm = load()
        curve["model"] = losses(lm, tensors, positions, list(lm.parameters()), MODEL_LR, 5)
        curves[name] = curve
        print(name, curve["prompt"][0], curve["prompt"][-1], curve["model"][-1])
    save_json(golden("trainer", "family_curves.json"), curves)


if __name__ == "__main__":
    main()
