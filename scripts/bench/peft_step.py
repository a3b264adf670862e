#!/usr/bin/env python3
"""Times P-tuning of a causal language model as a user of PEFT would do it.

    python scripts/bench/peft_step.py HF_DIR --batch 32 --length 16 --virtual 9 --steps 8

Prints one JSON object: medians of a training step (forward, backward, Adam) and of a forward
without gradients as examples/s, the first step's and the loading's seconds, and the process's
peak resident memory. Length counts the virtual tokens.

--dtype bfloat16 holds and multiplies the model's weights in bfloat16 while prompt encoder and
optimiser stay in float32; --compile runs the model through torch.compile.
"""

import argparse
import json
import time

import torch
from shapes import SHAPES
from timing import figures, times
from peft import PromptEncoderConfig, TaskType, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder, or gpt2 or qwen2-0.5b for random weights of that shape")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--virtual", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()

    torch.manual_seed(0)
    began = time.perf_counter()
    dtype = getattr(torch, args.dtype)
    if args.model in SHAPES:
        # Speed does not depend on what the weights are.
        kind, sizes = SHAPES[args.model]
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes), dtype=dtype)
    else:
        model = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype)
    prompt = PromptEncoderConfig(
        task_type=TaskType.CAUSAL_LM,
        num_virtual_tokens=args.virtual,
        encoder_hidden_size=model.config.hidden_size,
        encoder_reparameterization_type="LSTM",
    )
    # PEFT makes its prompt encoder in float32 and casts its result to the model's type.
    model = get_peft_model(model, prompt).to(args.device)
    if args.compile:
        model.base_model.compile()
    load_s = time.perf_counter() - began
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(0, model.config.vocab_size, (args.batch, args.length - args.virtual), device=args.device)
    labels = torch.full_like(ids, -100)
    labels[:, -1] = ids[:, -1]
    attend = torch.ones_like(ids)

    def train() -> None:
        model.train()
        model(input_ids=ids, attention_mask=attend, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    @torch.no_grad()
    def evaluate() -> None:
        model.eval()
        model(input_ids=ids, attention_mask=attend)

    print(json.dumps({"load_s": load_s, **figures(args, times(args, train), times(args, evaluate))}))


if __name__ == "__main__":
    main()
