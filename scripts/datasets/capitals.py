#!/usr/bin/env python3
"""Writes datasets/capitals: country -> capital, in three splits, with everyday names.

    python3 scripts/datasets/capitals.py COUNTRIES_CSV [--out datasets/capitals]

COUNTRIES_CSV is the country table of the npm package countries-list 3.4.1 as CSV; its columns Code,
Name and Capital are used. Countries are shuffled by a fixed seed and split 60/20/20; an everyday name goes to
the split of the country it names, so that no fact is both learned and asked.
"""
import argparse
import csv
import hashlib
import json
from pathlib import Path

SEED = "ptune-capitals-1"
SHARES = {"train": 60, "dev": 20, "test": 20}

# Code -> names that people say. Only names that mean the whole country, without an article.
ALIASES = {
    "AE": ["UAE", "Emirates"],
    "BA": ["Bosnia"],
    "CD": ["DR Congo", "Zaire"],
    "CG": ["Congo-Brazzaville"],
    "CI": ["Côte d'Ivoire"],
    "CV": ["Cape Verde"],
    "CZ": ["Czech Republic"],
    "GB": ["Britain", "Great Britain", "UK"],
    "IR": ["Persia"],
    "KR": ["Korea"],
    "LK": ["Ceylon"],
    "MK": ["Macedonia"],
    "MM": ["Burma"],
    "NL": ["Holland"],
    "SZ": ["Swaziland"],
    "TH": ["Siam"],
    "TL": ["Timor-Leste"],
    "TR": ["Turkey"],
    "US": ["America", "USA", "United States of America"],
    "VA": ["Vatican"],
}

# Capitals as people say them.
EVERYDAY_CAPITALS = {"Washington D.C.": "Washington"}


def order(code):
    """A place in the shuffle that no Python version or library changes."""
    return hashlib.sha256(f"{SEED}:{code}".encode()).hexdigest()


def split(countries):
    """Split name -> countries, each in the order of their codes."""
    shuffled = sorted(countries, key=lambda country: order(country["Code"]))
    splits, start, share = {}, 0, 0
    for name, percent in SHARES.items():
        share += percent
        end = len(shuffled) * share // 100
        splits[name] = sorted(shuffled[start:end], key=lambda country: country["Code"])
        start = end
    return splits


def rows(countries):
    for country in countries:
        capital = EVERYDAY_CAPITALS.get(country["Capital"], country["Capital"])
        fact = {"capital": capital, "code": country["Code"]}
        yield {"country": country["Name"], **fact}
        for alias in ALIASES.get(country["Code"], []):
            yield {"country": alias, **fact, "alias_of": country["Name"]}


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("csv", type=Path)
    arguments.add_argument("--out", type=Path, default=Path("datasets/capitals"))
    arguments = arguments.parse_args()
    with open(arguments.csv, encoding="utf-8", newline="") as file:
        countries = list(csv.DictReader(file))
    without = [country["Name"] for country in countries if not country["Capital"].strip()]
    countries = [country for country in countries if country["Capital"].strip()]

    names = [country["Name"] for country in countries]
    names += [alias for aliases in ALIASES.values() for alias in aliases]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SystemExit(f"names of two countries: {twice}")
    if unknown := sorted(set(ALIASES) - {country["Code"] for country in countries}):
        raise SystemExit(f"aliases of no country: {unknown}")

    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, part in split(countries).items():
        part_rows = list(rows(part))
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part_rows)
        (arguments.out / f"{name}.jsonl").write_text(text, "utf-8", newline="\n")
        print(f"{name} {len(part_rows)} rows, {len(part)} countries")
    print(f"left out, no capital: {len(without)} ({', '.join(without)})")


if __name__ == "__main__":
    main()
