#!/usr/bin/env python3
"""Folders of every kind of tokenizer as they were before tokenizer.json, and the ids transformers gives.

    python scripts/reference/tiny_families.py
    python scripts/reference/tokenizer_kinds.py [--real smollm2-135m=FILE.gguf bert-tiny=FOLDER]

Writes crates/backbone/tests/golden/tokenizers/: a folder KIND for each tokenizer that transformers builds
from other files than tokenizer.json (vocab.txt, vocab.json with merges.txt, SentencePiece models), trained
here on a few lines; strings.json, from which the test makes COUNT varied strings by `strings` below; and
ids.json, for each kind:

    hash      SHA-256 of the ids of all strings: decimals with commas, a line for each string
    digits    the first four hexadecimal digits of each string's own SHA-256, to name one that differs
    prefix, suffix, mask, pad    what transformers puts around a sequence, and its ids of these tokens
    answers   for a word, the id that it has in the middle of a sentence
    sentence  ids of that sentence up to the word, with what is put around it

Ids are those of `add_special_tokens=False`. A tokenizer that puts a space in front of the whole text is
told not to (`add_prefix_space=False`); answers are those of the tokenizer as it is. The tokenizer.json of each tiny
family is there without digits and answers. With --real, the ids of real tokenizers are written as well,
and kept as they are without.
"""

import argparse
import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path

import sentencepiece
from common import golden, shown
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AlbertTokenizer, AutoTokenizer, BertTokenizer, GemmaTokenizer, GPT2Tokenizer, GPTNeoXTokenizer, LlamaTokenizer,
    PreTrainedTokenizerFast, Qwen2Tokenizer, RobertaTokenizer, T5Tokenizer, XLMRobertaTokenizer,
)  # fmt: skip

COUNT = 2000
SEED = 20
ANSWERS = ["Oslo", "Paris", "London", "Cairo"]
SENTENCE = "The capital of Norway is {} today"

CORPUS = [
    "The capital of Norway is Oslo today.", "the capital of France is Paris today!", "Is London the capital of Britain?",
    "Cairo is the capital of Egypt, isn't it", "They're here, I'll go; we've 3.14 and 1,000 and 2024", "don't can't won't",
    "naïve café Zürich São Ångström école straße", "привет мир", "北京 東京 東京都", "a_b x=y #tag @me https://x.org/?q=1",
    "def f(x):\n\treturn x + 1\n", "Hello, world! Hello again...", "HELLO WORLD CAPITAL",
]  # fmt: skip
# The answers are frequent enough to be tokens.
CORPUS = CORPUS * 4 + [f"is {word} is {word}" for word in ANSWERS] * 10
# What `strings` draws from, one word to a blank.
WORDS = (
    "The the capital of is Is Oslo oslo PARIS Paris London Cairo Norway France Britain's don't DON'T they're I'll we've won’t "
    "naïve café CAFÉ Zürich São Ångström e\u0301cole A\u030a İstanbul ıssız straße STRASSE ὈΔΥΣΣΕΎΣ привет ПРИВЕТ "
    "北京 東京都 한국어 \u1112\u1161\u11ab हिन्दी ไทย العربية \u0627\u0644\u0639\u064e\u0631\u064e\u0628\u0650\u064a\u064e\u0651\u0629 עברית "
    "1 42 1,000 3.14 2024 ½ ² ٣٤٥ １２３ 9, ... !!! ?! -- — … “quote” ‘x’ (see) [x] {y} a_b x=y #tag @me $5 50% &c "
    "https://x.org/?q=1 file.tar.gz C++ U.S.A. `` '' '' ' \" \\ / | ~ ^ * + < > <<>> "
    "😀 👩‍👩‍👧 👍🏽 🇳🇴 ❤️ ☃ 𝕏 \U0010ffff \ue000 \u00ad \ufeff \ufffd \u200b \u2060 \u2028 \u3000x ﬁne ＡＢＣ ① ™ ▁ ▁the Ġ ## ##is Ċ "
    "[MASK] [CLS] [SEP] [PAD] [UNK] [CLS]x <s> </s> <unk> <pad> <mask> <bos> <eos> <|endoftext|> <|im_start|> <sep> "
    "<extra_id_0> <extra_id_99> <0x0A> \x00 \x01 \x07 \x1b[0m \x7f \x85 ab abc abcd aaaa zzzz q Qq xyzzy foo FooBar snake_case camelCase"
).split(" ")
WORDS += ["pneumono" * 30, "=" * 70, "東" * 50, "x" * 300, "\u0301" * 3, "\n\n", "\r\n", "\t\tindented", "two  spaces"]
SEPARATORS = [" ", " ", " ", " ", "", "  ", "   ", "\n", "\t", " \n ", "\u00a0", ", ", "'", "-"]

# A character map such as real models have, but of a few rules: from → to.
RULES = {
    "ﬁ": "fi", "Ａ": "A", "Ｂ": "B", "Ｃ": "C", "①": "1", "½": "1⁄2", "²": "2", "…": "...", "™": "TM", "e\u0301": "é", "A\u030a": "Å",
    "\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "\r": " ", "\u200b": "", "\u00ad": "", "\x07": "", "１": "1", "２": "2",
}  # fmt: skip


def strings() -> list[str]:
    """Varied strings, from a generator that the test repeats: Knuth's MMIX."""
    state = SEED

    def below(limit: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % limit

    made = []
    for _ in range(COUNT):
        text = SEPARATORS[below(len(SEPARATORS))] if below(4) == 0 else ""
        for _ in range(0 if below(50) == 0 else 1 + below(8)):
            text += WORDS[below(len(WORDS))] + SEPARATORS[below(len(SEPARATORS))]
        # Half of them without the separator at the end, as far as it is white space.
        made.append(text.rstrip() if below(2) == 0 else text)
    return made


def sentence_piece(folder: Path, name: str, algorithm: str, lower: bool = False, **options) -> None:
    """Trains a SentencePiece model."""
    # Names without a folder: a model remembers them.
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        corpus = "\n".join(line.replace("\n", " ") for line in CORPUS)
        Path("corpus.txt").write_text(corpus.lower() if lower else corpus)
        points = lambda text: " ".join(f"{ord(c):X}" for c in text)  # noqa: E731
        Path("rules.tsv").write_text("".join(f"{points(a)}\t{points(b)}\n" for a, b in RULES.items()))
        normaliser = {"normalization_rule_tsv": "rules.tsv"} if algorithm == "unigram" else {"normalization_rule_name": "identity"}
        sentencepiece.SentencePieceTrainer.train(
            input="corpus.txt", model_prefix="trained", model_type=algorithm, minloglevel=2,
            hard_vocab_limit=False, num_threads=1, **normaliser, **options,
        )  # fmt: skip
        shutil.copy("trained.model", folder / name)


def byte_level(folder: Path, special: list[str], pre_tokenizer=None, extra: int = 150) -> None:
    """Trains a byte-level BPE and writes vocab.json and merges.txt."""
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=256 + len(special) + extra, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tok.train_from_iterator(CORPUS, trainer)
    model = json.loads(tok.to_str())["model"]
    folder.joinpath("vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    lines = ["#version: 0.2"] + [" ".join(merge) for merge in model["merges"]]
    folder.joinpath("merges.txt").write_text("\n".join(lines) + "\n")


def word_pieces(folder: Path, special: list[str]) -> None:
    """Writes a vocab.txt: letters alone and within a word, whole words and some of their endings."""
    words = re.findall(r"\w+|[^\w\s]", " ".join(CORPUS))
    letters = sorted(set("".join(words)))
    endings = ["##" + word[-size:] for word in words for size in (2, 3) if len(word) > size + 1]
    vocab = special + letters + ["##" + c for c in letters if c.isalnum()] + words + endings
    folder.joinpath("vocab.txt").write_text("".join(f"{token}\n" for token in dict.fromkeys(vocab)))


def added(content: str, **flags) -> dict:
    """A token as added_tokens_decoder describes it."""
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {"content": content} | plain | flags


def named(content: str, **flags) -> dict:
    """A token as tokenizer_config.json describes it under its role."""
    return {"__type": "AddedToken"} | added(content, **flags)


def write(folder: Path, name: str, value) -> None:
    folder.joinpath(name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def make(kind: str, folder: Path) -> None:
    """Writes a folder, but for its config.json."""
    config: dict = {}
    match kind:
        case "bert":
            word_pieces(folder, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
            config = {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}
            write(folder, "special_tokens_map.json", {"cls_token": "[CLS]", "mask_token": "[MASK]"})
        case "roberta":
            byte_level(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
            config = {"mask_token": named("<mask>", lstrip=True)}
        case "gpt2":
            byte_level(folder, ["<|endoftext|>"])
            # Beyond the vocabulary.
            write(folder, "added_tokens.json", {"<sep>": 407})
        case "opt":
            byte_level(folder, ["<s>", "<pad>", "</s>", "<unk>"])
            names = {f"{role}_token": named(token, normalized=True) for role, token in
                     [("bos", "</s>"), ("eos", "</s>"), ("unk", "</s>")]}  # fmt: skip
            config = names | {"pad_token": "<pad>", "add_bos_token": True, "tokenizer_class": "GPT2Tokenizer"}
        case "gpt_neox":
            byte_level(folder, ["<|endoftext|>", "<|padding|>"])
        case "qwen2":
            # The pattern of the class itself, so that digits never merge.
            byte_level(folder, [], Qwen2Tokenizer()._tokenizer.pre_tokenizer)
            tokens = {"406": added("<|endoftext|>"), "407": added("<|im_start|>"), "408": added("<sep>", special=False)}
            config = {"added_tokens_decoder": tokens, "bos_token": None, "eos_token": "<|im_start|>", "pad_token": "<|endoftext|>",
                      "unk_token": None, "tokenizer_class": "Qwen2Tokenizer"}  # fmt: skip
        case "llama":
            sentence_piece(folder, "tokenizer.model", "bpe", vocab_size=430, byte_fallback=True, split_digits=True,
                           remove_extra_whitespaces=False, allow_whitespace_only_pieces=True)  # fmt: skip
            config = {"add_bos_token": True, "add_eos_token": False, "legacy": False, "tokenizer_class": "LlamaTokenizer",
                      "bos_token": named("<s>"), "eos_token": named("</s>"), "unk_token": named("<unk>")}  # fmt: skip
        case "gemma":
            sentence_piece(folder, "tokenizer.model", "bpe", vocab_size=430, byte_fallback=True, split_digits=True,
                           remove_extra_whitespaces=False, add_dummy_prefix=False, allow_whitespace_only_pieces=True,
                           pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
                           user_defined_symbols=["<mask>", "<sep>", "\n\n", "▁▁"])  # fmt: skip
            config = {"add_bos_token": True, "tokenizer_class": "GemmaTokenizer"}
        case "albert":
            sentence_piece(folder, "spiece.model", "unigram", lower=True, vocab_size=220, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1,
                           control_symbols=["[CLS]", "[SEP]", "[MASK]"], user_defined_symbols=["(", ")", "-"])  # fmt: skip
            config = {"do_lower_case": True}
        case "xlm_roberta":
            sentence_piece(folder, "sentencepiece.bpe.model", "unigram", vocab_size=200)
        case "t5":
            sentence_piece(folder, "spiece.model", "unigram", vocab_size=200, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
            config = {"extra_ids": 100}
    if config:
        write(folder, "tokenizer_config.json", config)


KINDS = {
    "bert": ("bert", BertTokenizer), "roberta": ("roberta", RobertaTokenizer), "gpt2": ("gpt2", GPT2Tokenizer),
    "opt": ("opt", GPT2Tokenizer), "gpt_neox": ("gpt_neox", GPTNeoXTokenizer), "qwen2": ("qwen2", Qwen2Tokenizer),
    "llama": ("llama", LlamaTokenizer), "gemma": ("gemma3_text", GemmaTokenizer), "albert": ("albert", AlbertTokenizer),
    "xlm_roberta": ("xlm-roberta", XLMRobertaTokenizer), "t5": ("t5", T5Tokenizer),
}  # fmt: skip


def ids_of(tok, text: str) -> list[int]:
    return tok(text, add_special_tokens=False).input_ids


def describe(tok, bare, texts: list[str], short: bool = False) -> dict:
    """What a test compares; `bare` is the tokenizer that puts no space in front."""
    lines = [",".join(map(str, ids_of(bare, text))) for text in texts]
    whole = hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
    digits = "".join(hashlib.sha256(line.encode()).hexdigest()[:4] for line in lines)
    inner, outer = ids_of(tok, "The"), tok("The").input_ids
    at = next(i for i in range(len(outer)) if outer[i : i + len(inner)] == inner)
    found = {"hash": whole, "prefix": outer[:at], "suffix": outer[at + len(inner) :], "mask": tok.mask_token_id, "pad": tok.pad_token_id}
    if short:
        return found
    found["answers"] = {}
    for word in ANSWERS:
        ids = ids_of(tok, SENTENCE.format(word))
        plain = [re.sub("^[Ġ▁]", "", token).lower() for token in tok.convert_ids_to_tokens(ids)]
        if plain.count(word.lower()) == 1:
            found["answers"][word] = ids[plain.index(word.lower())]
    assert found["answers"], tok.convert_ids_to_tokens(ids)
    found["sentence"] = tok(SENTENCE.split(" {}")[0]).input_ids
    return found | {"digits": digits}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", nargs="*", default=[], metavar="NAME=PATH", help="a GGUF file or a folder with tokenizer.json")
    args = parser.parse_args()
    texts = strings()
    assert "" in texts
    root = golden("backbone", "tokenizers", "ids.json").parent
    old = json.loads((root / "ids.json").read_text()) if (root / "ids.json").exists() else {}
    found = {}
    for kind, (model_type, cls) in KINDS.items():
        folder = root / kind
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(kind, folder)
        write(folder, "config.json", {"model_type": model_type})
        tok = cls.from_pretrained(folder)
        bare = cls.from_pretrained(folder, add_prefix_space=False) if kind == "llama" else tok
        found[kind] = describe(tok, bare, texts)
        lengths = sum(len(ids_of(bare, text)) for text in texts)
        print(f"{kind}: {len(tok)} tokens, {lengths} ids, {found[kind]['answers']}")
    for folder in sorted(file.parent for file in root.parent.glob("tiny_*/tokenizer.json")):
        tok = PreTrainedTokenizerFast.from_pretrained(folder)
        found[folder.name] = describe(tok, tok, texts, short=True)
    found |= {name: old[name] for name in ("smollm2-135m", "bert-tiny") if name in old}
    for name, _, path in (argument.partition("=") for argument in args.real):
        path = Path(path)
        tok = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name) if path.suffix == ".gguf" else AutoTokenizer.from_pretrained(path)
        found[name] = describe(tok, tok, texts)
    joined = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    strings_file = {"count": COUNT, "seed": SEED, "sha256": joined, "words": WORDS, "separators": SEPARATORS}
    root.joinpath("strings.json").write_text(json.dumps(strings_file, separators=(",", ":")) + "\n")
    rows = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
    root.joinpath("ids.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
    for path in sorted(root.rglob("*")):
        if path.is_file():
            path.chmod(0o644)
    print(f"{shown(root)}: {sum(path.stat().st_size for path in root.rglob('*') if path.is_file())} bytes")


if __name__ == "__main__":
    main()
