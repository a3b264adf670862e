#!/usr/bin/env python3
"""Outputs and gradients of the prompt encoders, as torch.nn computes them.

    python scripts/reference/lstm.py

Writes crates/ptuning-core/tests/golden/lstm.safetensors: one tensor for each, called CASE/NAME.
CASE is KIND_nN_hHIDDEN (`lstm_n5_h12`). NAME is a parameter by PyTorch's name (`embedding.weight`,
`lstm.weight_ih_l0_reverse`, `mlp.2.bias` ...), `output` [n, hidden], `grad_output` (the gradient
that arrives at the output), or `grad.` and a parameter's name.
"""

import argparse

import torch
from common import golden, save_tensors
from prompt_encoder import PromptEncoder

CASES = [("lstm", 5, 12), ("lstm", 7, 16), ("mlp", 5, 12), ("mlp", 7, 16)]


def case(kind: str, n: int, hidden: int) -> dict[str, torch.Tensor]:
    encoder = PromptEncoder(n, hidden, kind)
    with torch.no_grad():
        for parameter in encoder.parameters():
            # Wider than PyTorch's start, so that gates leave their linear range.
            parameter.normal_(0.0, 0.5)
    output = encoder()
    grad_output = torch.randn(n, hidden)
    output.backward(grad_output)
    tensors = dict(encoder.named_parameters())
    grads = {f"grad.{name}": parameter.grad for name, parameter in tensors.items()}
    return {**tensors, "output": output, "grad_output": grad_output, **grads}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    torch.manual_seed(parser.parse_args().seed)
    tensors = {}
    for kind, n, hidden in CASES:
        for name, tensor in case(kind, n, hidden).items():
            tensors[f"{kind}_n{n}_h{hidden}/{name}"] = tensor
    save_tensors(golden("ptuning-core", "lstm.safetensors"), tensors)


if __name__ == "__main__":
    main()
