#!/usr/bin/env python3
"""Holds an exported PEFT adapter against PEFT itself.

    ptune export RUN --format peft --out OUT/adapter --check OUT/peft_check.json
    python scripts/reference/peft_check.py OUT/adapter HF_DIR OUT/peft_check.json

Loads the adapter with the real PEFT on the folder that gguf_to_hf.py wrote, runs the prompts of the
check file and compares the last position's logits with those that ptune gave:
{"prompts": [{"text", "ids": [token ids without the virtual tokens], "top": [[id, logit], ..]}]};
`text` is there for readers. Exits 1 where a logit differs by more than the tolerance.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="folder with adapter_config.json and adapter_model.safetensors")
    parser.add_argument("model", type=Path, help="Hugging Face folder of the backbone")
    parser.add_argument("golden", type=Path, nargs="?", help="the check file (default: peft_check.json beside the export)")
    parser.add_argument("--tolerance", type=float, default=2e-3)
    args = parser.parse_args()
    # PEFT and transformers take a path that does not exist for a name on the Hub.
    for folder, name in [(args.export, "adapter_config.json"), (args.model, "config.json")]:
        if not (folder / name).is_file():
            parser.error(f"{folder / name}: no such file")
    args.golden = args.golden or args.export.resolve().parent / "peft_check.json"
    return args


@torch.no_grad()
def main() -> None:
    args = arguments()
    prompts = json.loads(args.golden.read_text(encoding="utf-8"))["prompts"]
    if not any(prompt["top"] for prompt in prompts):
        sys.exit(f"{args.golden}: no logits to compare")
    tok = AutoTokenizer.from_pretrained(args.model)
    lm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    plain = [lm(input_ids=torch.tensor([prompt["ids"]])).logits[0, -1] for prompt in prompts]
    model = PeftModel.from_pretrained(lm, args.export).eval()
    worst, moved = 0.0, 0.0
    for prompt, without in zip(prompts, plain):
        ids = torch.tensor([prompt["ids"]])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
        # NaN is as far off as can be, and max() would pass over it.
        gaps = [torch.tensor(value - float(logits[i])).abs().nan_to_num(float("inf")).item() for i, value in prompt["top"]]
        gap = max(gaps, default=0.0)
        worst, moved = max(worst, gap), max(moved, float((logits - without).abs().max()))
        print(f"{tok.decode(prompt['ids'])!r}: {len(gaps)} logits, largest difference {gap:.2e}, PEFT's first {tok.decode(logits.argmax().item())!r}")
    kind = model.peft_config["default"].peft_type.value
    print(f"{kind}: largest difference {worst:.2e} over {len(prompts)} prompts, tolerance {args.tolerance:.0e}")
    if moved < args.tolerance:
        sys.exit("the adapter changes no logit: this comparison would pass without it")
    if worst > args.tolerance:
        sys.exit(1)


if __name__ == "__main__":
    main()
