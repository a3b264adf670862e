#!/usr/bin/env python3
"""A BERT in a folder as they were before safetensors and tokenizer.json, and its token ids.

    python scripts/reference/tiny_families.py bert
    python scripts/reference/old_folder.py

Writes crates/backbone/tests/golden/old_bert/: the tiny BERT's config.json, its weights as
pytorch_model.bin with LayerNorms' `gamma` and `beta`, in half precision and with tied tensors that
share a storage, and a vocab.txt with tokens.json, ids of 2,000 varied strings by transformers:

{"cased": [[text, [id, ..]] x 1000], "uncased": [.. x 1000]}

Texts are words of the vocabulary and of other languages, accents composed and not, Chinese, emoji,
control characters, punctuation and odd white space, from a fixed seed.
"""

import json
import random
import shutil

import torch
from common import golden, shown
from safetensors.torch import load_file
from transformers import BertTokenizer

WORDS = (
    "capital of is the The Britain London France Paris Italy Rome Norway Oslo Egypt Cairo India Delhi "
    "naïve café CAFÉ Zürich São Ångström e\u0301cole İstanbul ıssız straße ὈΔΥΣΣΕΎΣ привет 北京 東京都 한국어 हिन्दी "
    "don't can't U.S.A. 3.14 1,000 a_b x=y #tag @me https://x.org/?q=1 (see) [MASK] [SEP] [CLS]x ## ##is 😀 👩‍👩‍👧 "
    "\u00a0 \u200b \u00ad \ufeff \t \n \x00 \x07 \ufffd … — “quote” ‘x’ ﬁne ＡＢＣ ²"
).split(" ")
VOCAB = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] . , ' ! ? ( ) [ ] # @ : / = _ - … — “ ” ‘ ’ the capital of is a b c d e f g h i l m n o p r s t u x y z "
    "##a ##b ##c ##d ##e ##f ##g ##h ##i ##l ##m ##n ##o ##p ##r ##s ##t ##u ##x ##y ##z London london Paris paris cafe café naïve naive 北 京 東 "
    "привет ##ет при zurich Zürich strasse straße 3 14 ##4 1 000 don can U S A A B C ὀδυσσευσ"
).split(" ")


def texts(rng: random.Random) -> list[str]:
    made = []
    for _ in range(1000):
        words = [rng.choice(WORDS) for _ in range(rng.randint(1, 7))]
        made.append(rng.choice([" ", " ", "", "  "]).join(words))
    return made


def main() -> None:
    folder = golden("backbone", "old_bert", "config.json").parent
    tiny = golden("backbone", "tiny_bert", "config.json").parent
    shutil.copy(tiny / "config.json", folder / "config.json")
    weights = load_file(tiny / "model.safetensors")
    old = {}
    for name, tensor in weights.items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        old[name] = tensor.half()
    old["cls.predictions.decoder.weight"] = old["bert.embeddings.word_embeddings.weight"]
    torch.save(old, folder / "pytorch_model.bin")

    vocab = list(dict.fromkeys(VOCAB))
    # As many as the model has embeddings.
    assert len(vocab) >= 97
    folder.joinpath("vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    rng = random.Random(0)
    cases = {}
    for kind, lower in [("cased", False), ("uncased", True)]:
        tok = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=lower)
        assert len(tok) == len(vocab)
        cases[kind] = [[text, tok(text, add_special_tokens=False).input_ids] for text in texts(rng)]
        known = sum(i != 1 for _, ids in cases[kind] for i in ids)
        print(f"{kind}: {known} known of {sum(len(ids) for _, ids in cases[kind])} tokens")
    path = folder / "tokens.json"
    rows = {kind: "[\n" + ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in rows) + "]" for kind, rows in cases.items()}
    path.write_text("{" + ",\n".join(f'"{kind}": {rows}' for kind, rows in rows.items()) + "}\n")
    print(f"{shown(path)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
