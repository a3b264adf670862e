#!/usr/bin/env python3
"""Writes datasets/entities: sentences with persons, locations and organizations, in three splits.

    python3 scripts/datasets/entities.py [datasets/capitals] [--out datasets/entities]

Sentences are patterns with names in them. Patterns, persons and organizations are written here; locations are
the countries and capitals of datasets/capitals, each from the split of its name. No pattern and no name is in two
splits, so what is learned by heart from train finds nothing in test. Everything follows from these lists, those
files and a fixed seed.
"""
import argparse
import hashlib
import json
import re
from pathlib import Path

SEED = "ptune-entities-1"
COUNTS = {"train": 300, "dev": 100, "test": 200}

FIRST = {
    "train": "Ada Amir Bruno Clara Daniel Elena Farid Grace Hugo Ingrid Jonas Karim Lucia Marta Nadia Oscar "
    "Pedro Rosa Samuel Teresa Victor Wanda Yusuf Zoe",
    "dev": "Albert Beatrice Cecil Dora Emil Fatima Gustav Helena Ivan Julia",
    "test": "Agnes Boris Carmen David Edith Felix Greta Hassan Irene Jacob Kofi Laura Milan Nora Omar Petra "
    "Rachel Simon Tamara Walter",
}
LAST = {
    "train": "Adler Bennett Castro Duarte Eriksen Farrell Gupta Hansen Ibrahim Jansen Keller Lopez Moreau "
    "Novak Okafor Petrov Quinn Rossi Silva Tanaka Usman Vargas Weber Young",
    "dev": "Archer Blanc Conti Dahl Endo Fischer Gomez Haddad Ito Kovac",
    "test": "Abbott Berger Cohen Diaz Ekman Flores Garnier Hoffman Ivanov Jensen Khan Larsen Mbeki Nilsson "
    "Ortega Popov Ramos Schmidt Turner Wagner",
}
STEM = {
    "train": "Northwind Halden Brightwater Solara Kestrel Ironbridge Meridian Lakeside Polaris Redwood Silverline "
    "Stonegate Summit Trident Vanguard Westbrook",
    "dev": "Amber Bluefield Corona Everhart Foxglove Granite Horizon Juniper",
    "test": "Arcadia Beacon Clearwater Dunmore Eastgate Fairmont Goldcrest Harborview Kingsway Larkspur Mayflower "
    "Oakhurst Pinnacle Riverton Starling Thornton",
}
KIND = {
    "train": "{} Bank|{} Airlines|{} University|{} Motors|{} Foods|{} Steel|{} Insurance|Bank of {}",
    "dev": "{} Bank|{} Airlines|{} Press|{} Energy|{} Motors|Bank of {}",
    "test": "{} Bank|{} Airlines|{} University|{} Motors|{} Records|{} Shipping|{} Energy|Bank of {}",
}
PATTERNS = {
    "train": """
        {p} lives in {l} .
        {p} was born in {l} and moved to {l} .
        {p} works for {o} in {l} .
        {o} opened an office in {l} .
        {o} hired {p} as its new director .
        On Monday {p} met {p} in {l} .
        The president of {o} , {p} , resigned .
        The minister flew to {l} on Friday .
        {p} left {o} last year .
        Shares of {o} fell after the news from {l} .
        Heavy rain fell over {l} during the night .
        {o} will build a new plant near {l} .
        " We are happy , " said {p} of {o} .
        The book by {p} was printed by {o} .
        Talks between {l} and {l} ended without a result .
        {p} , who studied in {l} , teaches music .
        Workers of {o} went on strike on Tuesday .
        The river is the longest one in {l} .
        {p} and {p} won the first prize .
        Farmers in {l} sold more wheat than in May .
        The museum is closed on Sunday .
        Nobody knew when the train would come .
        Prices rose again in March .
        Yesterday {o} sued {o} over a patent .
        {p} bought a house in the south of {l} .
    """,
    "dev": """
        {p} travelled from {l} to {l} by ship .
        {o} made {p} its chairman in April .
        A spokesman for {o} could not be reached .
        In {l} , {p} gave a talk about birds .
        The team from {l} lost on Saturday .
        {p} sued {o} in a court in {l} .
        {o} closed its branch in {l} .
        The letter was signed by {p} and {p} .
        Snow is rare at this time of the year .
        Doctors warned against the heat in {l} .
    """,
    "test": """
        {p} spent the summer in {l} .
        The painter {p} died in {l} in June .
        {o} bought land outside {l} from {p} .
        Engineers at {o} tested the new bridge .
        {p} joined {o} after two years in {l} .
        A fire broke out in {l} on Wednesday .
        Last week {p} wrote to {p} about the plan .
        {o} and {o} announced a merger .
        The ambassador returned from {l} to {l} .
        According to {o} , sales in {l} doubled .
        {p} , the founder of {o} , was not at home .
        Thousands marched through {l} on Thursday .
        The song made {p} famous in {l} .
        The trial of {p} begins in October .
        Lawyers for {o} asked the judge for more time .
        The shop sells bread , milk and fruit .
        Tourists like the old harbour of {l} .
        {p} runs a small farm with her brother .
    """,
}
LABELS = {"p": "person", "l": "location", "o": "organization"}


def pick(options, *place):
    """One of some options by its place: a choice that no Python version or library changes."""
    digest = hashlib.sha256(":".join(map(str, (SEED, *place))).encode()).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]


def locations(folder, split):
    """Countries and capitals of a split whose words are letters alone."""
    rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text("utf-8").splitlines()]
    names = {row["country"] for row in rows} | {row["capital"] for row in rows}
    return sorted(name for name in names if re.fullmatch(r"[^\W\d_]+( [^\W\d_]+){0,2}", name))


def name(kind, split, places, *place):
    if kind == "p":
        first = pick(FIRST[split].split(), "first", *place)
        return f"{first} {pick(LAST[split].split(), 'last', *place)}"
    if kind == "o":
        form = pick(KIND[split].split("|"), "kind", *place)
        return form.format(pick(STEM[split].split(), "stem", *place))
    return pick(places, "location", *place)


def sentence(pattern, split, places, number):
    tokens, entities, used = [], [], set()
    for index, word in enumerate(pattern.split()):
        kind = word[1] if re.fullmatch(r"\{[plo]\}", word) else None
        if kind is None:
            tokens.append(word)
            continue
        attempt = 0
        while (text := name(kind, split, places, split, number, index, attempt)) in used:
            attempt += 1
        used.add(text)
        words = text.split()
        entities.append({"start": len(tokens), "end": len(tokens) + len(words), "label": LABELS[kind]})
        tokens += words
    return {"tokens": tokens, "entities": entities}


def rows(split, places):
    patterns = [line.strip() for line in PATTERNS[split].strip().splitlines()]
    seen = set()
    number = 0
    while len(seen) < COUNTS[split]:
        row = sentence(patterns[number % len(patterns)], split, places, number)
        number += 1
        if not row["entities"] and " ".join(row["tokens"]) in seen:
            # A pattern without names gives one sentence.
            patterns.remove(" ".join(row["tokens"]))
            continue
        if (text := " ".join(row["tokens"])) not in seen:
            seen.add(text)
            yield row


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("capitals", type=Path, nargs="?", default=Path("datasets/capitals"))
    parser.add_argument("--out", type=Path, default=Path("datasets/entities"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    earlier = set()
    for split in COUNTS:
        places = [place for place in locations(arguments.capitals, split) if place not in earlier]
        earlier |= set(places)
        made = list(rows(split, places))
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
        (arguments.out / f"{split}.jsonl").write_text(text, "utf-8", newline="\n")
        print(f"{split} {len(made)} sentences, {sum(len(row['entities']) for row in made)} entities")


if __name__ == "__main__":
    main()
