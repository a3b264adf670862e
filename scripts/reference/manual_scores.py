#!/usr/bin/env python3
"""P@1, P@10, MRR and loss of manual prompts, by transformers.

    python scripts/reference/manual_scores.py HF_DIR --relation P36 --template "The capital of [X] is" --split test
    python scripts/reference/manual_scores.py HF_DIR --golden

HF_DIR is the folder that gguf_to_hf.py wrote. With --golden it scores three relations' dev splits
and writes crates/trainer/tests/golden/manual_scores.json: {"model", "scores": [{"relation",
"template", "split", "candidates" ("dataset"), "candidate_count", "examples", "hits1", "hits10",
"mrr", "loss"}]}. An example counts in hits1 where no candidate scores strictly higher than its
answer, in hits10 where fewer than ten do; mrr is a fraction; loss is over the whole vocabulary.
"""

import argparse
from pathlib import Path

import torch
from common import ROOT, golden, save_json
from lama import Relation, Template, evaluate, show
from transformers import AutoModelForCausalLM, AutoTokenizer

GOLDEN = [
    ("P1376", "[X] is the capital of"),
    ("P36", "The capital of [X] is"),
    ("P30", "[X] is located in the continent of"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder")
    parser.add_argument("--data", type=Path, default=ROOT / "datasets" / "lama", help="folder of relation folders")
    parser.add_argument("--relation", default="P36")
    parser.add_argument("--template", default="The capital of [X] is", help="words around [X]; the answer follows")
    parser.add_argument("--split", default="dev", choices=["train", "dev", "test"])
    parser.add_argument("--candidates", default="dataset", help="'dataset', or a file of words, one in a line")
    parser.add_argument("--golden", action="store_true", help="score the golden relations and write the golden file")
    args = parser.parse_args()
    tok = AutoTokenizer.from_pretrained(args.model)
    lm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval().requires_grad_(False)
    asked = GOLDEN if args.golden else [(args.relation, args.template)]
    split, candidates = ("dev", "dataset") if args.golden else (args.split, args.candidates)
    rows = []
    for name, text in asked:
        relation = Relation(tok, args.data / name, candidates)
        scores = evaluate(lm, Template(text, relation), split)
        print(f"{name} {text!r} {relation.describe()}: {show(split, scores)} loss {scores['loss']:.4f}", flush=True)
        described = {"relation": name, "template": text, "split": split, "candidates": candidates}
        rows.append({**described, "candidate_count": len(relation.candidates), **scores})
    if args.golden:
        save_json(golden("trainer", "manual_scores.json"), {"model": "SmolLM2-135M-Instruct.Q4_1", "scores": rows})


if __name__ == "__main__":
    main()
