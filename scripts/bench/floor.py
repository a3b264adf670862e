#!/usr/bin/env python3
"""The floor of a training step: its matrix products alone, by PyTorch's own library, warm.

    python scripts/bench/floor.py HF_DIR --batch 32 --length 16 --virtual 9 --steps 8

Times, at the shapes of the model in HF_DIR and of a batch without any sharing, each product of a
frozen Llama's forward pass and of its input gradient: weights stay where they are, nothing stands
between the products. Prints one JSON object like the other programs; a step is the sum over all
layers and the head on the answer rows.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--virtual", type=int, default=9, help="ignored: every position is computed")
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()

    config = json.loads((Path(args.model) / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    queries, keys = heads * head_dim, config["num_key_value_heads"] * head_dim
    rows, layers, vocab = args.batch * args.length, config["num_hidden_layers"], config["vocab_size"]
    # (rows, out, in, how often): query, key and value as one, output, gate and up as one, down, head.
    shapes = [
        (rows, queries + 2 * keys, hidden, layers),
        (rows, hidden, queries, layers),
        (rows, 2 * inner, hidden, layers),
        (rows, hidden, inner, layers),
        (args.batch, vocab, hidden, 1),
    ]

    def seconds(x: torch.Tensor, weight: torch.Tensor) -> float:
        out = x @ weight
        taken = []
        for _ in range(args.steps + 1):
            start = time.perf_counter()
            torch.matmul(x, weight, out=out)
            taken.append(time.perf_counter() - start)
        return statistics.median(taken[1:])

    forward = backward = flop = 0.0
    with torch.no_grad():
        for m, out, width, count in shapes:
            weight = torch.randn(out, width)
            forward += count * seconds(torch.randn(m, width), weight.T)
            backward += count * seconds(torch.randn(m, out), weight)
            flop += count * 2.0 * m * out * width
    print(json.dumps({
        "train_examples_per_s": args.batch / (forward + backward),
        "eval_examples_per_s": args.batch / forward,
        "gflop_per_s": 2 * flop / (forward + backward) / 1e9,
        "threads": torch.get_num_threads(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
