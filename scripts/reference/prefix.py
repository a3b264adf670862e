#!/usr/bin/env python3
"""Prefix tuning of every tiny family: logits, the gradient, losses while a prefix learns.

    python scripts/reference/tiny_families.py
    python scripts/reference/prefix.py

Writes crates/trainer/tests/golden/prefix.json, for each tiny_FAMILY of the backbone's golden models
{"direct": ten losses, "mlp": ten losses}, each before its step, and prefix.safetensors with
NAME.logits [4, vocab] and NAME.gradient [PREFIX, 2 * layers * kv_heads * head_dim] at the start.

Every step sees the family's golden batch, cut to LONGEST positions so that a prefix has room. A row of
the prefix is the first layer's key, its value, the second layer's key, ...; it starts from numbers(),
as do the embedding and the two linear layers of the projection, and learns by Adam at LR.

Causal models run in PEFT itself (PREFIX_TUNING) where "direct" is asked for. Masked ones, and the
projection, run with keys and values put in front of those that each attention computes; for causal models
both ways are held against each other.
"""

import argparse
import math

import torch
from common import golden, number, save_json, save_tensors
from peft import PrefixTuningConfig, TaskType, get_peft_model
from safetensors.torch import load_file
from tiny_families import CAUSAL, MASKED, POSITIONS
from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.masking_utils import eager_mask

PREFIX, INNER, LR, LONGEST = 3, 7, 0.02, 9


def numbers(*shape: int, seed: float = 1.0, size: float = 0.5) -> torch.Tensor:
    """Numbers that look like nothing and need no file."""
    value = [size * math.sin(seed + 0.7 * i + 0.013 * i * i) for i in range(math.prod(shape))]
    return torch.tensor(value, dtype=torch.float64).float().reshape(shape)


class Behind:
    """Attention behind a prefix: the layers of a forward pass ask for it one after the other."""

    def __init__(self, layers: int, heads: int, head_dim: int):
        self.sizes, self.calls, self.prefix = (layers, heads, head_dim), 0, None

    def __call__(self, module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
        layers, heads, head_dim = self.sizes
        layer, self.calls = self.calls % layers, self.calls + 1
        part = self.prefix.reshape(PREFIX, layers, 2, heads, head_dim)[:, layer].permute(1, 2, 0, 3)
        part = part[:, None].expand(2, len(query), heads, PREFIX, head_dim)
        seq, window = query.shape[2], getattr(module, "sliding_window", None)
        front = torch.zeros(len(query), 1, seq, PREFIX)
        if window is not None:
            # Causal windows count the query itself, and so does ModernBERT's half of one.
            far = (PREFIX + torch.arange(seq))[:, None] - torch.arange(PREFIX)[None] >= window
            front = front.masked_fill(far, -torch.inf)
        mask = torch.cat([front, attention_mask.expand(len(query), 1, seq, seq)], -1)
        repeats = query.shape[1] // heads
        keys, values = (torch.cat([p, own], 2).repeat_interleave(repeats, 1) for p, own in zip(part, (key, value)))
        scores = query @ keys.transpose(2, 3) * (scaling if scaling is not None else head_dim**-0.5) + mask
        return (scores.softmax(-1) @ values).transpose(1, 2).contiguous(), None


def with_positions(lm) -> dict:
    """Positions are counted on behind the prefix, by argument or, where a model takes none, by its table."""
    # RoBERTa's own begin behind the padding's number.
    first = PREFIX + (lm.config.pad_token_id + 1 if lm.config.model_type == "roberta" else 0)
    positions = torch.arange(first, first + LONGEST)[None]
    if lm.config.model_type == "distilbert":
        table = lm.distilbert.embeddings.position_embeddings
        table.weight.data = table.weight.data.roll(-PREFIX, 0)
        return {}
    return {"position_ids": positions}


def batch(folder, masked: bool) -> tuple:
    tensors = load_file(folder / "golden.safetensors")
    lengths = tensors["lengths"].clamp(max=LONGEST)
    positions = torch.tensor(POSITIONS) if masked else lengths - 1
    real = torch.arange(LONGEST)[None] < lengths[:, None]
    return tensors["ids"][:, :LONGEST], real, positions, tensors["labels"]


def curve(run, learned: list, labels: torch.Tensor) -> tuple[list[float], torch.Tensor, torch.Tensor]:
    """Ten losses; the logits and the first one's gradient before the first step."""
    optimizer, losses, first = torch.optim.Adam(learned, lr=LR), [], None
    for _ in range(10):
        logits = run()
        loss = torch.nn.functional.cross_entropy(logits, labels)
        losses.append(number(loss.item()))
        optimizer.zero_grad()
        loss.backward()
        first = first or (logits.detach(), learned[0].grad.clone())
        optimizer.step()
    return losses, *first


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    curves, tensors = {}, {}
    for family in MASKED | CAUSAL:
        name, masked = "tiny_llama3" if family == "llama" else f"tiny_{family}", family in MASKED
        folder = golden("backbone", name, "config.json").parent
        kind = AutoModelForMaskedLM if masked else AutoModelForCausalLM
        ids, real, positions, labels = batch(folder, masked)
        rows = torch.arange(len(ids))

        def load(attention: str):
            return kind.from_pretrained(folder, attn_implementation=attention).eval().requires_grad_(False)

        config = load("eager").config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        width = 2 * config.num_hidden_layers * heads * head_dim

        behind = Behind(config.num_hidden_layers, heads, head_dim)
        AttentionInterface.register(f"behind_{name}", behind)
        AttentionMaskInterface.register(f"behind_{name}", eager_mask)
        lm = load(f"behind_{name}")
        more = with_positions(lm)

        def hooked(prefix):
            behind.prefix, behind.calls = prefix, 0
            return lm(input_ids=ids, attention_mask=real.long(), **more).logits[rows, positions]

        prefix = numbers(PREFIX, width).requires_grad_()
        losses, logits, gradient = curve(lambda: hooked(prefix), [prefix], labels)
        if not masked:
            tuned = get_peft_model(load("eager"), PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=PREFIX))
            table = tuned.prompt_encoder["default"].embedding
            table.weight.data = numbers(PREFIX, width)

            def in_peft():
                return tuned(input_ids=ids, attention_mask=real.long()).logits[rows, positions]

            own, (losses, logits, gradient) = losses, curve(in_peft, [table.weight], labels)
            assert torch.allclose(torch.tensor(own), torch.tensor(losses), atol=2e-4), (name, own, losses)
        hidden = lm.get_input_embeddings().embedding_dim
        mlp = [
            numbers(PREFIX, hidden, seed=2.0), numbers(INNER, hidden, seed=3.0), numbers(INNER, seed=4.0),
            numbers(width, INNER, seed=5.0), numbers(width, seed=6.0),
        ]  # fmt: skip
        mlp = [parameter.requires_grad_() for parameter in mlp]

        def projected():
            embedding, w1, b1, w2, b2 = mlp
            return hooked((embedding @ w1.T + b1).tanh() @ w2.T + b2)

        curves[name] = {"direct": losses, "mlp": curve(projected, mlp, labels)[0]}
        tensors |= {f"{name}.logits": logits, f"{name}.gradient": gradient}
        print(name, *(f"{key} {losses[0]:.3f} -> {losses[-1]:.3f}" for key, losses in curves[name].items()))
    save_json(golden("trainer", "prefix.json"), curves)
    save_tensors(golden("trainer", "prefix.safetensors"), tensors)


if __name__ == "__main__":
    main()
