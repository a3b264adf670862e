#!/usr/bin/env python3
"""Holds a language model with virtual tokens among its words against transformers.

    ptune export RUN --format model --out OUT/model --check OUT/model_check.json
    python scripts/reference/model_check.py OUT/model OUT/model_check.json

Loads the folder with transformers alone, gives its tokenizer the texts of the check file and its model the ids:
{"prompts": [{"text", "ids", "answer": [which id scores the answer], "top": [[id, logit], ..]}]}. Exits 1 where an
id is another or a logit differs by more than the tolerance.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer

from peft_check import answer_logits, backbone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder that ptune wrote")
    parser.add_argument("golden", type=Path, help="the check file")
    parser.add_argument("--tolerance", type=float, default=2e-3)
    args = parser.parse_args()
    if not (args.model / "config.json").is_file():
        parser.error(f"{args.model / 'config.json'}: no such file")
    prompts = json.loads(args.golden.read_text(encoding="utf-8"))["prompts"]
    if not any(prompt["top"] for prompt in prompts):
        sys.exit(f"{args.golden}: no logits to compare")
    tok = AutoTokenizer.from_pretrained(args.model)
    model = backbone(args.model)
    worst = 0.0
    for prompt in prompts:
        ids = tok(prompt["text"]).input_ids
        if ids != prompt["ids"]:
            sys.exit(f"{prompt['text']!r}: expected the ids {prompt['ids']}, the tokenizer gives {ids}")
        with torch.no_grad():
            logits = answer_logits(model, prompt)
        gaps = [torch.tensor(value - float(logits[i])).abs().nan_to_num(float("inf")).item() for i, value in prompt["top"]]
        worst = max(worst, max(gaps, default=0.0))
        print(f"{prompt['text']!r}: {len(gaps)} logits, largest difference {max(gaps, default=0.0):.2e}")
    print(f"largest difference {worst:.2e} over {len(prompts)} prompts, tolerance {args.tolerance:.0e}")
    if worst > args.tolerance:
        sys.exit(1)


if __name__ == "__main__":
    main()
