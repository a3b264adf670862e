#!/usr/bin/env python3
"""Writes crates/trainer/tests/golden/span_scores.json: spans of sentences scored by transformers.

    .venv/bin/python scripts/reference/span_scores.py [--bert-tiny FOLDER]

Tiny models of random weights (tiny_families.py, tiny_llama.py) are asked about every span of up to three words
whose first and last word is neither "of" nor a mark, each sequence by itself. A label's probability is the mean
of its words' probabilities among all words, normalised over labels. Entities are those whose best label is not "none",
taken from the highest score down where none that was taken overlaps (Cui et al. 2021). For each model:

    {"model", "template", "longest", "stop_words", "labels": {label: [word]},
     "sentences": [{"words", "spans": [[start, end, [log-probability of each label]]], "entities": [[start, end, label]]}]}

With the folder of bert-tiny also span_scores_real.json beside it: what the template and the words of
configs/entities.toml find in datasets/entities, without calibration, as
{split: {"spans", label: [asked for, found, right]}}.
"""
import argparse
import json
import re
import tomllib
from pathlib import Path

import torch
from common import ROOT, golden, number, save_json
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

LABELS = {"city": ["Paris", "Rome"], "state": ["London"], "none": ["Oslo", "Cairo"]}
LONGEST = 3
STOP_WORDS = ["of"]
LONG = [
    "Britain is the capital of Italy .",
    "The capital of Britain of Britain",
    "India is of Italy , Italy is the capital",
]
SHORT = ["Egypt , Norway", ". of", "capital of capital"]
PLAIN = [LONG[1], SHORT[2], "India is of Italy Italy is the capital"]
# The tiny BERT has twelve positions; transformers drops what Qwen2's tiny vocabulary does not have, as marks.
MODELS = [
    ("tiny_llama", "[x] [x:span] is [z]", LONG + SHORT),
    ("tiny_qwen2", "[x] the [x:span] is [z]", PLAIN),
    ("tiny_bert", "[x] [x:span] [z] is", SHORT),
]


def spans(words, longest=LONGEST, stop_words=STOP_WORDS):
    edge = [word not in stop_words and any(c.isalnum() for c in word) for word in words]
    every = ((start, end) for start in range(len(words)) for end in range(start + 1, start + 1 + longest))
    return [(s, e) for s, e in every if e <= len(words) and edge[s] and edge[e - 1]]


class Model:
    def __init__(self, folder, template, words=LABELS):
        self.template, self.words, self.masked = template, words, "bert" in folder.name
        kind = AutoModelForMaskedLM if self.masked else AutoModelForCausalLM
        self.lm = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        self.tok = AutoTokenizer.from_pretrained(folder)

    def ids(self, text):
        return self.tok(text, add_special_tokens=False).input_ids

    @torch.no_grad()
    def labels(self, sentence, span):
        before, after = self.template.replace("[x:span]", span).replace("[x]", sentence).split("[z]")
        before, after = self.ids(before.rstrip()), self.ids(after)
        if self.masked:
            ids = [self.tok.cls_token_id, *before, self.tok.mask_token_id, *after, self.tok.sep_token_id]
            row = self.lm(torch.tensor([ids])).logits[0, 1 + len(before)]
        else:
            row = self.lm(torch.tensor([before])).logits[0, -1]
        words = [self.ids(f" {word}") for group in self.words.values() for word in group]
        assert all(len(word) == 1 for word in words), words
        probabilities = row.double()[[word[0] for word in words]].softmax(0)
        means, first = [], 0
        for group in self.words.values():
            means.append(probabilities[first : first + len(group)].mean())
            first += len(group)
        means = torch.stack(means)
        return (means / means.sum()).log()


def entities(scored, names=tuple(LABELS)):
    taken = []
    best = [(scores.max().item(), span, names[scores.argmax()]) for span, scores in scored]
    for _, (start, end), label in sorted(best, key=lambda one: -one[0]):
        if label != "none" and all(end <= s or e <= start for s, e, _ in taken):
            taken.append([start, end, label])
    return sorted(taken)


def real(folder):
    """What bert-tiny finds by hand in the data set."""
    config = tomllib.loads((ROOT / "configs/entities.toml").read_text())
    rules = (ROOT / "crates/ptuning-core/src/spans/rules.rs").read_text()
    stop_words = re.findall(r'"(\w+)"', rules.split("STOP_WORDS: &[&str]")[1].split("];")[0])
    words, longest = config["verbalizer"]["labels"], config["spans"]["longest"]
    model = Model(folder, config["eval"]["manual"].replace("|head", ""), words)
    found = {}
    for split in ["dev", "test"]:
        counts = found[split] = {"spans": 0} | {label: [0, 0, 0] for label in words if label != "none"}
        for line in (ROOT / "datasets/entities" / f"{split}.jsonl").read_text().splitlines():
            row = json.loads(line)
            tokens, asked = row["tokens"], [[e["start"], e["end"], e["label"]] for e in row["entities"]]
            places = spans(tokens, longest, stop_words)
            scored = [((s, e), model.labels(" ".join(tokens), " ".join(tokens[s:e]))) for s, e in places]
            named = entities(scored, list(words))
            counts["spans"] += len(places)
            for at, group in enumerate([asked, named, [one for one in named if one in asked]]):
                for _, _, label in group:
                    counts[label][at] += 1
        print(split, counts)
    save_json(golden("trainer", "span_scores_real.json"), found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bert-tiny", type=Path)
    arguments = parser.parse_args()
    if arguments.bert_tiny:
        real(arguments.bert_tiny)
    models = []
    for name, template, sentences in MODELS:
        model, rows = Model(ROOT / "crates/backbone/tests/golden" / name, template), []
        for sentence in sentences:
            words = sentence.split()
            scored = [((s, e), model.labels(sentence, " ".join(words[s:e]))) for s, e in spans(words)]
            rows.append(
                {
                    "words": words,
                    "spans": [[s, e, [number(value) for value in scores]] for (s, e), scores in scored],
                    "entities": entities(scored),
                }
            )
        print(name, [row["entities"] for row in rows])
        models.append(
            {"model": name, "template": template, "longest": LONGEST, "stop_words": STOP_WORDS, "labels": LABELS, "sentences": rows}
        )
    save_json(golden("trainer", "span_scores.json"), models)


if __name__ == "__main__":
    main()
