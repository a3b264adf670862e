#!/usr/bin/env python3
"""Times P-tuning of a causal language model as a user of PEFT would do it.

    python scripts/bench/peft_step.py HF_DIR --batch 32 --length 16 --virtual 9 --steps 8

Prints one JSON object: medians of a training step (forward, backward, Adam) and of a forward
without gradients as examples/s, the first step's and the loading's seconds, and the process's
peak resident memory. Length counts the virtual tokens.
"""

import argparse
import json
import resource
import statistics
import time

import torch
from peft import PromptEncoderConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--virtual", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()

    torch.manual_seed(0)
    began = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    prompt = PromptEncoderConfig(
        task_type=TaskType.CAUSAL_LM,
        num_virtual_tokens=args.virtual,
        encoder_hidden_size=model.config.hidden_size,
        encoder_reparameterization_type="LSTM",
    )
    model = get_peft_model(model, prompt)
    load_s = time.perf_counter() - began
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(0, model.config.vocab_size, (args.batch, args.length - args.virtual))
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

    first_done = 0.0

    def first() -> None:
        nonlocal first_done
        first_done = time.time()

    def times(work, after_first=lambda: None) -> list[float]:
        """Seconds of a first, untimed-in-the-median call and of `steps` more."""
        taken = []
        for index in range(args.steps + 1):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
            if index == 0:
                after_first()
        return taken

    train_s = times(train, first)
    eval_s = times(evaluate)
    print(json.dumps({
        "train_examples_per_s": args.batch / statistics.median(train_s[1:]),
        "eval_examples_per_s": args.batch / statistics.median(eval_s[1:]),
        # Linux counts it in KiB.
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "first_step_s": train_s[0],
        "first_step_done_at": first_done,
        "load_s": load_s,
        "threads": torch.get_num_threads(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
