#!/usr/bin/env python3
"""Golden token ids: varied strings and what transformers makes of them.

    python scripts/reference/tokens.py MODEL [--all FILE]

MODEL is the GGUF of smollm2-135m (or a Hugging Face folder). Two hundred strings are written to
crates/backbone/tests/golden/tokens.json; with --all, all two thousand to FILE.
"""

import argparse
import random
from pathlib import Path

from transformers import AutoTokenizer

from common import golden, save_json

COUNT, COMMITTED = 2000, 200

NAMES = """Britain|United Kingdom|Côte d'Ivoire|São Tomé and Príncipe|Trinidad and Tobago|Bosnia and
Herzegovina|Naypyidaw|Reykjavík|Łódź|Kyiv|Saint-Denis|N'Djamena|Nuku'alofa|Ulaanbaatar|Ağrı Province|
Đồng Hới|Île-de-France|Kingdom of the Two Sicilies|German Democratic Republic|Rio Grande do Norte|
Bjarkøya|Māori|Þingvellir|Győr-Moson-Sopron County|Republic of China|Xinjiang|Mária Valéria|
New South Wales|O'Higgins|al-Andalus|U.S. Virgin Islands|Chișinău|Ústí nad Labem|Republika Srpska|
1989 Romanian Revolution|Apollo 11|Zürich (canton)|St. John's|Guinea-Bissau|Mẫu""".split("|")
NAMES = [" ".join(name.split()) for name in NAMES]
FRAMES = """The capital of {} is|{} has its capital in|{}'s capital city is|{} is located in the continent of|
{} is the capital of|{}, the capital city of| capital {}|{}|Where is {}?|({})|“{}”|{}:\t{}|
In {}, {} was born.|It's in {} — isn't it?|<{}>|{}, {} and {}""".replace("\n", "").split("|")
FRAMES += ["{}\n{}", "{} \n\n {}", "  {}  ", "they'll say {}, we've said {}, I'D SAY {}", "{}\u00a0{}", "\ufeff{}"]
WORDS = """the of and capital internationalization antidisestablishmentarianism Pneumonoultramicroscopic
Donaudampfschifffahrtsgesellschaft aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa XMLHttpRequest snake_case_name
camelCaseName ALLCAPS iPhone e-mail co-operate don't can't it's we'll rock'n'roll naïve façade über
straße ΑΒΓ αβγδ привет мир Україна שלום עולם مرحبا بالعالم ٱلْعَرَبِيَّة नमस्ते दुनिया হ্যালো สวัสดีชาวโลก ជំរាបសួរ
안녕하세요 세계 こんにちは 世界 東京都 北京市 你好世界 ㄅㄆㄇ Ελλάδα Հայաստան საქართველო ኢትዮጵያ ᏣᎳᎩ ꦗꦮ
Zażółć gęślą jaźń Đặng ﬁne ﬂow Ⅻ ½ ² ①""".split()
EMOJI = "😀 😂 👍🏽 👨‍👩‍👧‍👦 🇬🇧 🇫🇷 ❤️ 🏳️‍🌈 ☃ 🧑🏿‍🚀 1️⃣ ✅ 𝔘𝔫𝔦 𝟘𝟙 🀄 ♟︎".split()
COMBINING = ["e\u0301", "n\u0303", "a\u030a", "Z\u0351\u036b\u0343a\u0322l\u0329g\u0353o", "\u1112\u1161\u11ab",
             "क\u094d\u0937", "\u0915\u093f", "i\u0307", "\u200d", "\u200b", "\u0301", "\u202e", "\u2066"]
SPACES = [" ", "  ", "   ", "        ", "\t", "\t\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\n\t", " \t ", "\u00a0",
          "\u2003", "\u3000", "\u2028", "\u0085", "\v", "\f", "\u1680", "\u180e", "\u205f", "\x1c", "\x00", "\x7f"]
NUMBERS = ["0", "7", "42", "1999", "3.14159", "1,000,000", "-273.15", "1e-5", "0x1F", "2024-02-29", "12:30:45",
           "+44 20 7946 0958", "٣٤٥", "१२३", "１２３", "№5", "50%", "$9.99", "€10", "v1.2.3", "x86_64", "10th", "½", "⅓7"]
CODE = ["fn main() {\n    println!(\"{}\", 1 + 2);\n}", "for (int i = 0; i < n; ++i) {\n\ta[i] *= 2;\n}",
        "def f(x):\n    return {k: v**2 for k, v in x.items()}\n", "SELECT * FROM t WHERE a != 'b' -- c",
        "<div class=\"a\">&nbsp;</div>", "{\"key\": [1, 2.5, null, true]}", "https://example.org/a?b=c&d=%20#e",
        "a->b::c<d>>e", "if (x=>y||!z)&&~w^v", "\\frac{a}{b}^{2}", "$HOME/.cache/*", "x = 10  # ten", "git log --oneline -n 5",
        "\"\"\"doc\"\"\"", "a\\nb\\tc", "// TODO(x): y", "#include <stdio.h>\n", "user@example.com", "C:\\Users\\x",
        "y\t=\t3;\n\n\n    z = 4;"]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<file_sep>", "<empty_output>", "<|im_start",
           "im_end|>", "< |im_start|>", "<s>", "</s>", "[MASK]", "[h:3]", "<unk>"]
PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "…", "—", "--", "?!", "''", "``", "。", "、", "「」", "¿", "«»", "•"]


def character(rng: random.Random) -> str:
    """Any character but a surrogate, low ones more often."""
    top = rng.choice([0x80, 0x250, 0x3000, 0x10000, 0x110000])
    code = rng.randrange(top)
    return chr(code if not 0xD800 <= code < 0xE000 else code - 0x800)


def make(rng: random.Random) -> str:
    """One string of a kind drawn at random."""
    kind = rng.randrange(10)
    pools = [WORDS, EMOJI, COMBINING, SPACES, NUMBERS, CODE, SPECIAL, PUNCTUATION, NAMES]
    if kind < 3:
        frame = rng.choice(FRAMES)
        return frame.format(*rng.choices(NAMES, k=frame.count("{}")))
    if kind == 3:
        return " ".join(rng.choices(WORDS, k=rng.randint(1, 12)))
    if kind == 4:
        return "".join(rng.choices(SPACES, k=rng.randint(1, 4)) + rng.choices(WORDS + NUMBERS, k=1)) * rng.randint(1, 3)
    if kind == 5:
        return rng.choice(["", " ", "  ", "\n"]).join(rng.choices(NUMBERS + PUNCTUATION, k=rng.randint(1, 8)))
    if kind == 6:
        return "\n".join(rng.choices(CODE, k=rng.randint(1, 3)))
    if kind == 7:
        return "".join(character(rng) for _ in range(rng.randint(1, 24)))
    if kind == 8:
        return "".join(rng.choices(EMOJI + COMBINING + SPECIAL + WORDS, k=rng.randint(1, 10)))
    return "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 15)))


def strings() -> list[str]:
    """Two thousand different strings, the same ones every time."""
    rng = random.Random(20240229)
    found = {"": None}
    while len(found) < COUNT:
        found[make(rng)] = None
    return list(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--all", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.model.is_dir():
        tokenizer = AutoTokenizer.from_pretrained(args.model)
    else:
        tokenizer = AutoTokenizer.from_pretrained(args.model.parent, gguf_file=args.model.name)
    cases = [{"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]} for text in strings()]
    save_json(golden("backbone", "tokens.json"), cases[:COMMITTED])
    if args.all:
        save_json(args.all, cases)


if __name__ == "__main__":
    main()
