#!/usr/bin/env python3
"""A model of random weights of every family, and what transformers computes with it.

    python scripts/reference/tiny_families.py [FAMILY …]

Writes crates/backbone/tests/golden/tiny_FAMILY/ for each: config.json, model.safetensors,
tokenizer.json (masked: uncased WordPiece; causal: byte-level BPE; encoder–decoder: Unigram with
sentinels), tokenizer_config.json and golden.safetensors with the tensors that tiny_llama.py describes.
Masked models answer at POSITIONS, causal ones at each example's last real position. An encoder–decoder
has the first sentinel at POSITIONS of the encoder's ids, and answers behind it in the decoder. Sizes are odd where a family allows it, windows are
smaller than the sequences, and norms and biases are random, so that none can be left out unseen.
"""

import argparse
import json

import torch
from common import golden, save_tensors
from tiny_llama import CAPITALS, LENGTHS, VOCAB, tokenizer as byte_level
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

POSITIONS = [3, 0, 0, 8]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

BERT = dict(
    hidden_size=30, intermediate_size=44, num_hidden_layers=3, num_attention_heads=5, max_position_embeddings=12, pad_token_id=0,
)  # fmt: skip
DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
LAYER_ROPES = {"full_attention": {"rope_type": "default", "rope_theta": 5000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 70.0}}
QWEN = dict(
    hidden_size=36, intermediate_size=50, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2, head_dim=8,
    max_position_embeddings=64, tie_word_embeddings=True, rope_parameters=DEFAULT_ROPE,
)  # fmt: skip
MASKED = {
    "bert": BERT,
    "roberta": BERT | dict(type_vocab_size=1, pad_token_id=1, max_position_embeddings=14),
    "distilbert": dict(dim=30, hidden_dim=44, n_layers=3, n_heads=5, max_position_embeddings=12),
    "albert": BERT | dict(embedding_size=18, hidden_act="gelu_new"),
    "electra": BERT | dict(embedding_size=18),
    "modernbert": dict(
        hidden_size=30, intermediate_size=22, num_hidden_layers=4, num_attention_heads=5, max_position_embeddings=12,
        local_attention=4, rope_parameters=LAYER_ROPES, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3,
    ),
}  # fmt: skip
CAUSAL = {
    "gpt2": dict(n_embd=30, n_layer=3, n_head=5, n_positions=12, n_inner=44, bos_token_id=1, eos_token_id=2),
    "gpt_neox": dict(
        hidden_size=40, intermediate_size=44, num_hidden_layers=3, num_attention_heads=5, max_position_embeddings=12,
        rope_parameters=DEFAULT_ROPE | {"partial_rotary_factor": 0.5},
    ),
    "opt": dict(hidden_size=30, word_embed_proj_dim=30, ffn_dim=44, num_hidden_layers=3, num_attention_heads=5, max_position_embeddings=12),
    "llama": QWEN | dict(rope_parameters={
        "rope_type": "llama3", "rope_theta": 100.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 3.0,
        "original_max_position_embeddings": 16,
    }),
    "qwen2": {k: v for k, v in QWEN.items() if k != "head_dim"},
    "qwen3": QWEN | dict(tie_word_embeddings=False),
    "gemma3_text": QWEN | dict(
        num_hidden_layers=4, sliding_window=3, query_pre_attn_scalar=5, rope_parameters=LAYER_ROPES,
        layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    ),
}  # fmt: skip
# Some distances of a batch lie beyond the last border of buckets; a head is not the width over the heads.
T5 = dict(
    d_model=22, d_kv=3, d_ff=34, num_layers=3, num_decoder_layers=2, num_heads=5, relative_attention_num_buckets=8,
    relative_attention_max_distance=6, pad_token_id=0, decoder_start_token_id=0, eos_token_id=1,
)  # fmt: skip
T5_V1_1 = T5 | dict(d_ff=18, num_decoder_layers=3, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
ENCODER_DECODER = {"t5": T5, "t5_v1_1": T5_V1_1, "umt5": T5 | dict(d_ff=18, feed_forward_proj="gated-gelu")}
SENTINELS = [f"<extra_id_{i}>" for i in range(3)]


def unigram(splitting: bool) -> Tokenizer:
    """A Unigram of at most VOCAB entries with spaces as letters, for which each capital is one token.

    Older files cut a text at its spaces before they put one in front of every word, newer ones do not.
    """
    words = [f"▁{word}" for pair in CAPITALS for word in pair] + ["▁the", "▁capital", "▁of", "▁is"]
    letters = sorted(set("".join(words))) + list(".,?")
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(word, -3.0) for word in words] + [(letter, -5.0) for letter in letters]
    tok = Tokenizer(models.Unigram(vocab, unk_id=2))
    metaspace = pre_tokenizers.Metaspace()
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]) if splitting else metaspace
    tok.decoder = decoders.Metaspace()
    tok.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ["<pad>", "</s>", "<unk>", *SENTINELS]])
    tok.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", tok.token_to_id("</s>"))]
    )
    for _, city in CAPITALS:
        assert len(tok.encode(city, add_special_tokens=False).ids) == 1, city
    assert tok.get_vocab_size() <= VOCAB
    return tok


def word_piece() -> Tokenizer:
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


def model(family: str, sizes: dict):
    kind = {"t5_v1_1": "t5"}.get(family, family)
    config = AutoConfig.for_model(kind, vocab_size=VOCAB, initializer_range=0.3, init_std=0.3, dtype="float32", **sizes)
    if family in ENCODER_DECODER:
        auto = AutoModelForSeq2SeqLM
    else:
        auto = AutoModelForMaskedLM if family in MASKED else AutoModelForCausalLM
    lm = auto.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    if family == "t5_v1_1":
        # transformers 5 ties a new model's head whatever its config says, and keeps a file's apart.
        lm.lm_head.weight = torch.nn.Parameter(torch.randn_like(lm.lm_head.weight), requires_grad=False)
    for name, parameter in lm.named_parameters():
        if parameter.dim() == 1:
            # Ones and zeros would hide a vector that is not loaded.
            parameter.add_(0.2 * torch.randn_like(parameter))
        elif "relative_attention_bias" in name:
            parameter.copy_(torch.randn_like(parameter))
        elif parameter.std() < 0.1 or family in ENCODER_DECODER:
            parameter.mul_(0.3 / parameter.std())
    return lm


def numbers(lm, family: str, sentinel: int) -> dict[str, torch.Tensor]:
    lengths = torch.tensor(LENGTHS)
    real = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    positions = lengths - 1 if family in CAUSAL else torch.tensor(POSITIONS)
    rows = torch.arange(len(lengths))

    def decoder(count: int) -> dict:
        if family not in ENCODER_DECODER:
            return {}
        return {"decoder_input_ids": torch.tensor([[lm.config.decoder_start_token_id, sentinel]] * count)}

    def at_answers(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, 1] if family in ENCODER_DECODER else logits[rows, positions]

    def logits(**inputs) -> torch.Tensor:
        return at_answers(lm(attention_mask=real.long(), **decoder(len(LENGTHS)), **inputs).logits)

    pad = lm.config.pad_token_id or 0
    ids = torch.where(real, torch.randint(len(SPECIAL), VOCAB, real.shape), pad)
    if family in ENCODER_DECODER:
        ids[rows, positions] = sentinel
    from_ids = logits(input_ids=ids)
    for row, length, position, batched in zip(ids, LENGTHS, positions, from_ids):
        single = lm(input_ids=row[None, :length], **decoder(1)).logits[0]
        single = single[1] if family in ENCODER_DECODER else single[position]
        torch.testing.assert_close(batched, single, atol=2e-5, rtol=2e-5)

    width = lm.get_input_embeddings().embedding_dim
    embeddings = (torch.randn(*real.shape, width) * 0.5 * real[..., None]).requires_grad_()
    labels = torch.randint(len(SPECIAL), VOCAB, (len(LENGTHS),))
    from_embeddings = logits(inputs_embeds=embeddings)
    loss = torch.nn.functional.cross_entropy(from_embeddings, labels)
    loss.backward()
    assert embeddings.grad[~real].abs().max() == 0, "a padded position reached the loss"
    return {
        "ids": ids, "lengths": lengths, "labels": labels, "logits": from_ids, "embeddings": embeddings,
        "logits_from_embeddings": from_embeddings, "loss": loss[None], "grad_embeddings": embeddings.grad,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help="all of them if none is named")
    args = parser.parse_args()
    masked_names = {"mask_token": "[MASK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    causal_names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    seq2seq_names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    for family, sizes in (MASKED | CAUSAL | ENCODER_DECODER).items():
        if args.families and family not in args.families:
            continue
        torch.manual_seed(0)
        lm = model(family, sizes)
        # The Llama of tiny_llama.py is another.
        folder = golden("backbone", "tiny_llama3" if family == "llama" else f"tiny_{family}", "config.json").parent
        lm.save_pretrained(folder)
        folder.joinpath("generation_config.json").unlink(missing_ok=True)
        folder.joinpath("model.safetensors").chmod(0o644)
        if family in ENCODER_DECODER:
            tok, names = unigram(splitting=family == "t5"), seq2seq_names
        else:
            tok, names = (word_piece(), masked_names) if family in MASKED else (byte_level(), causal_names)
        tok.save(str(folder / "tokenizer.json"))
        names = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
        folder.joinpath("tokenizer_config.json").write_text(json.dumps(names, indent=2) + "\n")
        if family == "t5_v1_1":
            # As published configs say it.
            config = json.loads(folder.joinpath("config.json").read_text()) | {"tie_word_embeddings": False}
            del config["scale_decoder_outputs"]
            folder.joinpath("config.json").write_text(json.dumps(config, indent=2) + "\n")
        tensors = numbers(lm, family, tok.token_to_id("<extra_id_0>"))
        reloaded = type(lm).from_pretrained(folder, attn_implementation="eager").eval()
        for name, parameter in reloaded.state_dict().items():
            torch.testing.assert_close(parameter, lm.state_dict()[name])
        save_tensors(folder / "golden.safetensors", tensors)


if __name__ == "__main__":
    main()
