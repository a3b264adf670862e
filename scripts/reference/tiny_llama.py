#!/usr/bin/env python3
"""Two Llamas of random weights, whole Hugging Face folders, and what transformers computes with them.

    python scripts/reference/tiny_llama.py

Writes crates/backbone/tests/golden/tiny_llama/ (hidden 24, 4 heads over 2 key-value heads, tied
head, RoPE theta 10,000) and tiny_llama_gqa/ (hidden 36, 6 heads over 2 key-value heads, head of
its own, theta 100,000, config.json in the older style with `rope_theta` at the top): config.json,
model.safetensors, tokenizer.json, tokenizer_config.json and golden.safetensors.

golden.safetensors, float32 and int64; batch 4, seq 9, padded on the right:
    ids [batch, seq]                   0 where padded
    lengths [batch]                    7, 4, 1, 9
    labels [batch]
    logits [batch, vocab]              from ids, at each example's last real position
    embeddings [batch, seq, hidden]    other inputs, zero where padded
    hidden [batch, hidden]             from embeddings, normalised, at the last real positions
    logits_from_embeddings [batch, vocab]
    loss [1]                           mean cross-entropy of logits_from_embeddings and labels
    grad_embeddings [batch, seq, hidden]
"""

import argparse
import json
from pathlib import Path

import torch
from common import golden, save_tensors
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

VOCAB = 97
# The last fills every position that the models of tiny_families.py have.
LENGTHS = [7, 4, 1, 12]
CAPITALS = [
    ("Britain", "London"),
    ("France", "Paris"),
    ("Italy", "Rome"),
    ("Norway", "Oslo"),
    ("Egypt", "Cairo"),
    ("India", "Delhi"),
]
FOLDERS = {
    "tiny_llama": dict(
        hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=6, tie_word_embeddings=True, rope_theta=10_000.0,
    ),
    "tiny_llama_gqa": dict(
        hidden_size=36, intermediate_size=50, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, head_dim=6, tie_word_embeddings=False, rope_theta=100_000.0,
    ),
}  # fmt: skip


def tokenizer() -> Tokenizer:
    """A byte-level BPE of at most VOCAB entries, for which each capital is one token."""
    tok = Tokenizer(models.BPE(unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    corpus = [f" {city}" for _, city in CAPITALS] * 8 + [" capital of is The"] * 4 + [country for country, _ in CAPITALS]
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    tok.train_from_iterator(corpus, trainer)
    for _, city in CAPITALS:
        assert len(tok.encode(f" {city}").ids) == 1, city
    assert tok.get_vocab_size() <= VOCAB
    return tok


def model(shape: dict) -> LlamaForCausalLM:
    shape = dict(shape)
    theta = shape.pop("rope_theta")
    config = LlamaConfig(
        vocab_size=VOCAB, rms_norm_eps=1e-5, initializer_range=0.3, max_position_embeddings=64,
        bos_token_id=1, eos_token_id=2, pad_token_id=None, dtype="float32",
        rope_parameters={"rope_type": "default", "rope_theta": theta}, attn_implementation="eager", **shape,
    )  # fmt: skip
    lm = LlamaForCausalLM(config).eval().requires_grad_(False)
    for name, parameter in lm.named_parameters():
        if "norm" in name:
            # Ones would hide a norm whose weight is not loaded.
            parameter.add_(0.2 * torch.randn_like(parameter))
    return lm


def save(lm: LlamaForCausalLM, tok: Tokenizer, folder: Path, old_style: bool) -> None:
    lm.save_pretrained(folder)
    folder.joinpath("generation_config.json").unlink(missing_ok=True)
    config_file = folder / "config.json"
    config = json.loads(config_file.read_text())
    if old_style:
        config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
        config["torch_dtype"] = config.pop("dtype")
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tok.save(str(folder / "tokenizer.json"))
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    folder.joinpath("tokenizer_config.json").write_text(json.dumps(special, indent=2) + "\n")


def last_rows(lm: LlamaForCausalLM, lengths: torch.Tensor, **inputs) -> torch.Tensor:
    """Normalised hidden states at each example's last real position, [batch, hidden]."""
    seq = int(lengths.max())
    attend = (torch.arange(seq)[None] < lengths[:, None]).long()
    hidden = lm.model(attention_mask=attend, **inputs).last_hidden_state
    return hidden[torch.arange(len(lengths)), lengths - 1]


def numbers(lm: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    lengths = torch.tensor(LENGTHS)
    real = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    ids = torch.randint(3, VOCAB, real.shape) * real
    logits = lm.lm_head(last_rows(lm, lengths, input_ids=ids))
    for row, length, batched in zip(ids, LENGTHS, logits):
        single = lm(input_ids=row[None, :length]).logits[0, -1]
        torch.testing.assert_close(batched, single, atol=2e-5, rtol=2e-5)

    embeddings = (torch.randn(*real.shape, lm.config.hidden_size) * 0.5 * real[..., None]).requires_grad_()
    labels = torch.randint(3, VOCAB, (len(LENGTHS),))
    hidden = last_rows(lm, lengths, inputs_embeds=embeddings)
    from_embeddings = lm.lm_head(hidden)
    loss = torch.nn.functional.cross_entropy(from_embeddings, labels)
    loss.backward()
    assert embeddings.grad[~real].abs().max() == 0, "a padded position reached the loss"
    return {
        "ids": ids, "lengths": lengths, "labels": labels, "logits": logits, "embeddings": embeddings,
        "hidden": hidden, "logits_from_embeddings": from_embeddings, "loss": loss[None],
        "grad_embeddings": embeddings.grad,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    torch.manual_seed(parser.parse_args().seed)
    tok = tokenizer()
    for name, shape in FOLDERS.items():
        lm = model(shape)
        folder = golden("backbone", name, "config.json").parent
        save(lm, tok, folder, old_style=name.endswith("gqa"))
        tensors = numbers(lm)
        reloaded = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
        again = reloaded.lm_head(last_rows(reloaded, tensors["lengths"], input_ids=tensors["ids"]))
        torch.testing.assert_close(again, tensors["logits"], atol=1e-6, rtol=0)
        save_tensors(folder / "golden.safetensors", tensors)


if __name__ == "__main__":
    main()
