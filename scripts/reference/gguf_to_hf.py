#!/usr/bin/env python3
"""Writes a dequantised Hugging Face folder from a Llama-family GGUF file.

    python scripts/reference/gguf_to_hf.py SmolLM2-135M-Instruct.Q4_1.gguf OUT_DIR

The other reference scripts run on that folder, so that they and the Rust loader see the same
weights. Written under a temporary name and moved into place; an OUT_DIR that exists is kept.
"""

import argparse
import os
import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def convert(gguf: Path, out: Path) -> None:
    tok = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    dequantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = dequantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # A model built afresh, or saving would try to quantise again.
    plain = type(dequantised)(config)
    plain.load_state_dict(dequantised.state_dict())
    unfinished = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        plain.save_pretrained(unfinished)
        tok.save_pretrained(unfinished)
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path, help="the GGUF file")
    parser.add_argument("out", type=Path, help="folder to make")
    args = parser.parse_args()
    if not args.gguf.is_file():
        parser.error(f"{args.gguf}: no such file; `ptune fetch smollm2-135m` gets one")
    if args.out.exists():
        print(f"{args.out} is there already")
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    convert(args.gguf, args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
