#!/usr/bin/env python3
"""Losses while a part of a tiny language model learns, with and without a prompt; LoRA by PEFT itself.

    python scripts/reference/tiny_families.py
    python scripts/reference/strategies.py

Writes crates/trainer/tests/golden/strategies.json: for each case its settings and ten losses, each before
its step. Batch, prompt and positions are those of family_curves.py. LoRA's A starts from lora_start(), B
from zero. The language model learns by Adam at LM_LR, the prompt at PROMPT_LR.
"""

import argparse
import math
import re

import torch
from common import golden, number, save_json
from family_curves import PROMPT, PROMPT_LR, start
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from tiny_families import CAUSAL, POSITIONS
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

LM_LR = 0.01

CASES = [
    {"model": "llama3", "prompt": True, "parts": "lora", "rank": 2, "alpha": 6.0, "modules": []},
    {"model": "gpt2", "prompt": False, "parts": "lora", "rank": 3, "alpha": 3.0, "modules": ["c_attn", "c_fc"]},
    {"model": "llama3", "prompt": False, "parts": "lora", "rank": 1, "alpha": 1.0, "modules": ["down_proj"], "layers": 1},
    {"model": "bert", "prompt": False, "parts": "bias"},
    {"model": "bert", "prompt": True, "parts": "bias", "layers": 1},
    {"model": "llama3", "prompt": True, "parts": "all", "layers": 1},
    {"model": "bert", "prompt": True, "parts": "all"},
]


def lora_start(count: int) -> torch.Tensor:
    return torch.tensor([0.1 * math.sin(0.3 + 0.7 * i) for i in range(count)], dtype=torch.float64).float()


def layer_of(name: str) -> int | None:
    found = re.search(r"\.(?:layers|layer|h)\.(\d+)\.", name)
    return int(found[1]) if found else None


def learned(lm, case: dict, layers: int) -> tuple:
    """The model as it is run, and what of it learns."""
    first = layers - case["layers"] if "layers" in case else None
    lm.requires_grad_(False)
    if case["parts"] == "lora":
        modules = case["modules"] or ["q_proj", "v_proj"]
        config = LoraConfig(
            r=case["rank"], lora_alpha=case["alpha"], target_modules=modules, lora_dropout=0.0,
            fan_in_fan_out=case["model"] == "gpt2",
            layers_to_transform=None if first is None else list(range(first, layers)),
        )
        lm = get_peft_model(lm, config)
        parameters = [(name, value) for name, value in lm.named_parameters() if value.requires_grad]
        for name, value in parameters:
            if "lora_A" in name:
                value.data = lora_start(value.numel()).reshape(value.shape)
        return lm, [value for _, value in parameters]
    chosen = []
    for name, value in lm.named_parameters():
        within = first is None or (layer_of(name) is not None and layer_of(name) >= first)
        if within and (case["parts"] == "all" or name.endswith("bias")):
            chosen.append(value.requires_grad_())
    return lm, chosen


def losses(case: dict) -> list[float]:
    name = case["model"]
    folder = golden("backbone", f"tiny_{name}", "config.json").parent
    kind = AutoModelForCausalLM if name.startswith("llama") or name in CAUSAL else AutoModelForMaskedLM
    tensors = load_file(folder / "golden.safetensors")
    ids, lengths, labels = tensors["ids"], tensors["lengths"], tensors["labels"]
    positions = lengths - 1 if kind is AutoModelForCausalLM else torch.tensor(POSITIONS)
    real = torch.arange(ids.shape[1])[None] < lengths[:, None]
    base = kind.from_pretrained(folder, attn_implementation="eager").eval()
    lm, chosen = learned(base, case, base.config.num_hidden_layers)
    lm.eval()
    groups = [{"params": chosen, "lr": LM_LR}]
    prompt = None
    if case["prompt"]:
        prompt = start(base.get_input_embeddings().embedding_dim).requires_grad_()
        groups.append({"params": [prompt], "lr": PROMPT_LR})
    optimizer = torch.optim.Adam(groups)
    found = []
    for _ in range(10):
        inputs = {"input_ids": ids}
        if prompt is not None:
            embeddings = base.get_input_embeddings()(ids)
            slots = (torch.arange(ids.shape[1])[None] < PROMPT) & real
            rows = torch.cat([prompt, prompt.new_zeros(ids.shape[1] - PROMPT, prompt.shape[1])])
            inputs = {"inputs_embeds": torch.where(slots[..., None], rows[None], embeddings)}
        logits = lm(attention_mask=real.long(), **inputs).logits
        loss = torch.nn.functional.cross_entropy(logits[torch.arange(len(ids)), positions], labels)
        found.append(number(loss.item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    cases = []
    for case in CASES:
        cases.append(case | {"losses": losses(case)})
        print(case, f"{cases[-1]['losses'][0]:.3f} -> {cases[-1]['losses'][-1]:.3f}")
    save_json(golden("trainer", "strategies.json"), cases)


if __name__ == "__main__":
    main()
