#!/usr/bin/env python3
"""The candidates of a step of AutoPrompt, in PyTorch.

    python scripts/reference/autoprompt.py

Reads the tiny Llama, writes crates/trainer/tests/golden/autoprompt.json: triggers stand for the virtual tokens of a
template, the loss is the mean cross-entropy of six capitals, and for each trigger the 8 tokens of the vocabulary
with the greatest -embedding·gradient are listed, the greatest first, with these products.

Neighbours in the lists, and the last with the first that is left out, differ by 1e-4 or more: a correct float32
computation gives the same ids.
"""

import json
from pathlib import Path

import torch
from common import golden, number, save_json
from tiny_llama import CAPITALS
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

TEMPLATE = "[h:2] capital of [x] [h:2] [z]"
TRIGGERS = [17, 40, 64, 23]
TOP = 8
GAP = 1e-4


def main() -> None:
    folder: Path = golden("backbone", "tiny_llama", "config.json").parent
    lm = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    lm.requires_grad_(False)
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    table = lm.get_input_embeddings().weight
    triggers = table[torch.tensor(TRIGGERS)].clone().requires_grad_()
    losses = []
    for country, city in CAPITALS:
        words = table[torch.tensor(tok.encode(f" capital of {country}", add_special_tokens=False).ids)]
        inputs = torch.cat([triggers[:2], words, triggers[2:]])[None]
        logits = lm(inputs_embeds=inputs).logits[0, -1]
        (answer,) = tok.encode(f" {city}", add_special_tokens=False).ids
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(answer)))
    torch.stack(losses).mean().backward()
    falls = -triggers.grad @ table.T
    lists = []
    for row in falls:
        values, ids = row.sort(descending=True)
        gaps = values[:TOP] - values[1 : TOP + 1]
        assert gaps.min() > GAP, f"candidates too close to tell apart: {gaps.min():.1e}"
        lists.append({"ids": ids[:TOP].tolist(), "falls": [number(v) for v in values[:TOP]]})
    pairs = [[country, city] for country, city in CAPITALS]
    save_json(
        golden("trainer", "autoprompt.json"),
        {"template": TEMPLATE, "pairs": pairs, "triggers": TRIGGERS, "top": lists},
    )
    print(json.dumps(lists[0]))


if __name__ == "__main__":
    main()
