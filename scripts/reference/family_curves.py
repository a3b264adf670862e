#!/usr/bin/env python3
"""Losses of every tiny family while a prompt learns, and while the whole model does.

    python scripts/reference/tiny_families.py
    python scripts/reference/family_curves.py

Writes crates/trainer/tests/golden/family_curves.json, for each tiny_FAMILY of the backbone's golden
models {"prompt": ten losses, "model": five losses}, each before its step; no "model" of an
encoder-decoder, which ptune prompts and does not train.

Every step sees the same batch: ids, lengths and labels of the family's golden.safetensors, answers where
tiny_families.py has them. In "prompt" the first two positions of each example (or the only one) hold
virtual tokens that start from start() and learn by Adam at PROMPT_LR; in "model" all weights learn by
Adam at MODEL_LR and the ids stay as they are.
"""

import argparse
import math

import torch
from common import golden, number, save_json
from safetensors.torch import load_file
from tiny_families import CAUSAL, ENCODER_DECODER, MASKED, POSITIONS
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

PROMPT, PROMPT_LR, MODEL_LR = 2, 0.05, 0.002


def start(width: int) -> torch.Tensor:
    """Numbers that look like nothing and need no file, [PROMPT, width]."""
    value = [[0.5 * math.sin(1.0 + 13.0 * slot + 0.7 * i) for i in range(width)] for slot in range(PROMPT)]
    return torch.tensor(value, dtype=torch.float64).float()


def losses(lm, tensors: dict, positions: torch.Tensor, learned: list, lr: float, steps: int, prompt=None, decoder=None) -> list[float]:
    """With `decoder`, the answers are what it says behind these tokens."""
    ids, lengths, labels = tensors["ids"], tensors["lengths"], tensors["labels"]
    real = torch.arange(ids.shape[1])[None] < lengths[:, None]
    optimizer = torch.optim.Adam(learned, lr=lr)
    found = []
    for _ in range(steps):
        inputs = {"input_ids": ids}
        if prompt is not None:
            embeddings = lm.get_input_embeddings()(ids)
            slots = (torch.arange(ids.shape[1])[None] < PROMPT) & real
            rows = torch.cat([prompt, prompt.new_zeros(ids.shape[1] - PROMPT, prompt.shape[1])])
            inputs = {"inputs_embeds": torch.where(slots[..., None], rows[None], embeddings)}
        if decoder is not None:
            inputs["decoder_input_ids"] = decoder
        logits = lm(attention_mask=real.long(), **inputs).logits
        logits = logits[:, -1] if decoder is not None else logits[torch.arange(len(ids)), positions]
        loss = torch.nn.functional.cross_entropy(logits, labels)
        found.append(number(loss.item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    curves = {}
    for family in MASKED | CAUSAL | ENCODER_DECODER:
        name = "tiny_llama3" if family == "llama" else f"tiny_{family}"
        folder = golden("backbone", name, "config.json").parent
        kind = AutoModelForMaskedLM if family in MASKED else AutoModelForCausalLM
        kind = AutoModelForSeq2SeqLM if family in ENCODER_DECODER else kind
        tensors = load_file(folder / "golden.safetensors")
        positions = tensors["lengths"] - 1 if family in CAUSAL else torch.tensor(POSITIONS)

        def load():
            return kind.from_pretrained(folder, attn_implementation="eager").eval()

        lm = load().requires_grad_(False)
        prompt = start(lm.get_input_embeddings().embedding_dim).requires_grad_()
        decoder = None
        if family in ENCODER_DECODER:
            sentinel = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("<extra_id_0>")
            decoder = torch.tensor([[lm.config.decoder_start_token_id, sentinel]] * len(positions))
        curve = {"prompt": losses(lm, tensors, positions, [prompt], PROMPT_LR, 10, prompt, decoder)}
        if family not in ENCODER_DECODER:
            lm = load()
            curve["model"] = losses(lm, tensors, positions, list(lm.parameters()), MODEL_LR, 5)
        curves[name] = curve
        print(name, *(f"{key} {losses[0]:.3f} -> {losses[-1]:.3f}" for key, losses in curve.items()))
    save_json(golden("trainer", "family_curves.json"), curves)


if __name__ == "__main__":
    main()
