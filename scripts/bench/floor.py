#!/usr/bin/env python3
"""The floor of a training step: its matrix products alone, by the best library here, warm.

    python scripts/bench/floor.py HF_DIR --batch 32 --length 16 --virtual 9 --steps 8
    python scripts/bench/floor.py bert-base --batch 32 --length 24

Times, at the shapes of the model and of a batch without any sharing, each product of the frozen
layers' forward pass and of their input gradient: weights stay where they are, nothing stands between
the products, rows that do not answer leave the last layer out. Each product counts with the faster of
PyTorch's library and NumPy's. Prints one JSON object like the other programs; a step is the sum over
all layers and the head on the answer rows.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy
import torch
from shapes import SHAPES
from transformers import AutoConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help=f"Hugging Face folder of a Llama, or one of {', '.join(SHAPES)}")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--virtual", type=int, default=9, help="ignored: every position is computed")
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()

    if args.model in SHAPES:
        kind, sizes = SHAPES[args.model]
        # By the common names: GPT-2's own are others.
        common = AutoConfig.for_model(kind, **sizes)
        config = {"gated": kind not in ("bert", "gpt2")}
        for key in ("hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size"):
            config[key] = getattr(common, key)
        config["intermediate_size"] = getattr(common, "intermediate_size", 4 * common.hidden_size)
        config["num_key_value_heads"] = getattr(common, "num_key_value_heads", common.num_attention_heads)
    else:
        config = json.loads((Path(args.model) / "config.json").read_text())
    bert = args.model == "bert-base"
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    queries, keys = heads * head_dim, config["num_key_value_heads"] * head_dim
    rows, layers, vocab = args.batch * args.length, config["num_hidden_layers"], config["vocab_size"]
    up = inner if config.get("gated") is False else 2 * inner
    # (rows, out, in, how often): query, key and value as one, output, (gate and) up as one, down; of the
    # last layer only keys and values need every row; the head.
    shapes = [
        (rows, queries + 2 * keys, hidden, layers - 1),
        (rows, hidden, queries, layers - 1),
        (rows, up, hidden, layers - 1),
        (rows, hidden, inner, layers - 1),
        (rows, 2 * keys, hidden, 1),
        (args.batch, queries, hidden, 1),
        (args.batch, hidden, queries, 1),
        (args.batch, up, hidden, 1),
        (args.batch, hidden, inner, 1),
        (args.batch, vocab, hidden, 1),
    ]
    if bert:
        shapes.append((args.batch, hidden, hidden, 1))

    def fastest(x: torch.Tensor, weight: torch.Tensor) -> float:
        out = x @ weight
        arrays = x.numpy(), weight.numpy(), out.numpy()

        def seconds(product) -> float:
            taken = []
            for _ in range(args.steps + 1):
                start = time.perf_counter()
                product()
                taken.append(time.perf_counter() - start)
            return statistics.median(taken[1:])

        return min(
            seconds(lambda: torch.matmul(x, weight, out=out)),
            seconds(lambda: numpy.matmul(arrays[0], arrays[1], out=arrays[2])),
        )

    forward = backward = flop = 0.0
    with torch.no_grad():
        for m, out, width, count in shapes:
            weight = torch.randn(out, width)
            forward += count * fastest(torch.randn(m, width), weight.T)
            backward += count * fastest(torch.randn(m, out), weight)
            flop += count * 2.0 * m * out * width
    print(json.dumps({
        "train_examples_per_s": args.batch / (forward + backward),
        "eval_examples_per_s": args.batch / forward,
        "gflop_per_s": 2 * flop / (forward + backward) / 1e9,
        "threads": torch.get_num_threads(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
