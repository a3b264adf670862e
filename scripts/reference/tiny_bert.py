#!/usr/bin/env python3
"""A BERT of random weights, a whole Hugging Face folder, and what transformers computes with it.

    python scripts/reference/tiny_bert.py

Writes crates/backbone/tests/golden/tiny_bert/ (hidden 30, 5 heads, 3 layers, 12 positions, exact
GELU, tied head with a bias): config.json, model.safetensors, tokenizer.json (uncased WordPiece),
tokenizer_config.json and golden.safetensors with the tensors that tiny_llama.py describes; the
answers stand at POSITIONS.
"""

import argparse
import json

import torch
from common import golden, save_tensors
from tiny_llama import CAPITALS, LENGTHS, VOCAB
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

POSITIONS = [3, 0, 0, 8]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer() -> Tokenizer:
    """An uncased WordPiece of at most VOCAB entries, for which each capital is one token."""
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece()
    corpus = [city for _, city in CAPITALS] * 8 + ["the capital of is ."] * 4 + [country for country, _ in CAPITALS]
    tok.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=VOCAB, special_tokens=SPECIAL, show_progress=False))
    cls, sep = tok.token_to_id("[CLS]"), tok.token_to_id("[SEP]")
    tok.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    for _, city in CAPITALS:
        assert len(tok.encode(city, add_special_tokens=False).ids) == 1, city
    assert tok.get_vocab_size() <= VOCAB
    return tok


def model() -> BertForMaskedLM:
    config = BertConfig(
        vocab_size=VOCAB, hidden_size=30, intermediate_size=44, num_hidden_layers=3, num_attention_heads=5,
        max_position_embeddings=12, initializer_range=0.3, pad_token_id=0, dtype="float32", attn_implementation="eager",
    )  # fmt: skip
    lm = BertForMaskedLM(config).eval().requires_grad_(False)
    for name, parameter in lm.named_parameters():
        if "LayerNorm" in name or name.endswith("bias"):
            # Ones and zeros would hide a vector that is not loaded.
            parameter.add_(0.2 * torch.randn_like(parameter))
    return lm


def at_positions(lm: BertForMaskedLM, **inputs) -> torch.Tensor:
    """Hidden states at the answers, [batch, hidden]."""
    lengths = torch.tensor(LENGTHS)
    attend = (torch.arange(int(lengths.max()))[None] < lengths[:, None]).long()
    hidden = lm.bert(attention_mask=attend, **inputs).last_hidden_state
    return hidden[torch.arange(len(lengths)), torch.tensor(POSITIONS)]


def numbers(lm: BertForMaskedLM) -> dict[str, torch.Tensor]:
    lengths = torch.tensor(LENGTHS)
    real = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    ids = torch.randint(len(SPECIAL), VOCAB, real.shape) * real
    logits = lm.cls(at_positions(lm, input_ids=ids))
    for row, length, position, batched in zip(ids, LENGTHS, POSITIONS, logits):
        single = lm(input_ids=row[None, :length]).logits[0, position]
        torch.testing.assert_close(batched, single, atol=2e-5, rtol=2e-5)

    embeddings = (torch.randn(*real.shape, lm.config.hidden_size) * 0.5 * real[..., None]).requires_grad_()
    labels = torch.randint(len(SPECIAL), VOCAB, (len(LENGTHS),))
    hidden = at_positions(lm, inputs_embeds=embeddings)
    from_embeddings = lm.cls(hidden)
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
    lm = model()
    folder = golden("backbone", "tiny_bert", "config.json").parent
    lm.save_pretrained(folder)
    folder.joinpath("generation_config.json").unlink(missing_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    names = {"mask_token": "[MASK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    names = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, **names}
    folder.joinpath("tokenizer_config.json").write_text(json.dumps(names, indent=2) + "\n")
    tensors = numbers(lm)
    reloaded = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    again = reloaded.cls(at_positions(reloaded, input_ids=tensors["ids"]))
    torch.testing.assert_close(again, tensors["logits"], atol=1e-6, rtol=0)
    save_tensors(folder / "golden.safetensors", tensors)


if __name__ == "__main__":
    main()
