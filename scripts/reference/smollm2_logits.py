#!/usr/bin/env python3
"""Logits of SmolLM2-135M at the last position of eight prompts, by transformers.

    python scripts/reference/gguf_to_hf.py SmolLM2-135M-Instruct.Q4_1.gguf HF_DIR
    python scripts/reference/smollm2_logits.py HF_DIR

Writes crates/backbone/tests/golden/smollm2_logits.json:
{"model", "prompts": [{"text", "ids": [..], "top": [[id, logit] x 64, largest first],
"random": [[id, logit] x 64, other ids, by id]}]}.
"""

import argparse
import random

import torch
from common import golden, number, save_json
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    "The capital of Britain is",
    "The capital of France is",
    "Tokyo is located in the continent of",
    "def fibonacci(n):\n    if n < 2:\n        return",
    "In 1969, the first human being to walk on the Moon was",
    "Zürich, São Paulo und Kraków sind",
    " ",
    "Water is made of two elements, hydrogen and oxygen. " * 6 + "The first of the two elements is",
]
COUNT = 64


@torch.no_grad()
def prompt(lm, tok, text: str) -> dict:
    ids = tok(text, add_special_tokens=False).input_ids
    logits = lm(input_ids=torch.tensor([ids])).logits[0, -1]
    top = logits.topk(COUNT).indices.tolist()
    others = sorted(random.sample([i for i in range(len(logits)) if i not in top], COUNT))
    pairs = lambda chosen: [[i, number(logits[i].item())] for i in chosen]
    return {"text": text, "ids": ids, "top": pairs(top), "random": pairs(others)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the folder that gguf_to_hf.py wrote")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random.seed(args.seed)
    tok = AutoTokenizer.from_pretrained(args.model)
    lm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    rows = [prompt(lm, tok, text) for text in PROMPTS]
    save_json(golden("backbone", "smollm2_logits.json"), {"model": "SmolLM2-135M-Instruct.Q4_1", "prompts": rows})


if __name__ == "__main__":
    main()
