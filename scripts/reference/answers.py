#!/usr/bin/env python3
"""Answers of several tokens by transformers: scored whole, ranked, written.

    python scripts/reference/answers.py
    python scripts/reference/answers.py --smollm2 HF_DIR --bert-tiny FOLDER

Writes crates/trainer/tests/golden/answers.json from tiny models of random weights; with the folders of
real ones (gguf_to_hf.py writes the first), answers_real.json beside it. Each is {"models": [...]}:

    {"model", "template", "prompt": virtual tokens in front, from family_curves.py's start(), "answers": [text],
     "tokens": [[id]], "right": [number for each input], "inputs": [text],
     "scores": [{"scoring", "sums": [[for each answer] for each input], "ranks": [of the right answer, from 0],
                 "ranks_normalised": [by the mean over tokens]}],
     "generated": [{"beams", "normalised", "max_tokens", "answers": [[{"tokens", "score"}] for each input]}],
     "filled": [{"order", "places", "answers": [{"tokens", "order", "log_probability"} for each input]}]}

A sum is over the log-probabilities of an answer's tokens, in nats, every sequence computed by itself. Causal
answers are written by transformers' generate(), which ends at special tokens and at those with a line break.
answers_real.json also has "relation": the manual prompt of P36 on the first LIMIT examples of each split, its dev
split ranked among the answers of all three.
"""

import argparse
import functools
import json
from pathlib import Path

import torch
from common import ROOT, golden, number, save_json
from family_curves import PROMPT, start
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

TINY_ANSWERS = ["London", "Paris", "Rome", "Oslo the", "Paris of Rome", "Paris of Oslo", "Paris of Rome is", "Rome of Paris", "Delhi"]
TINY = {"inputs": ["Britain", "France", "Italy"], "right": [4, 1, 7], "answers": TINY_ANSWERS, "max_tokens": 4, "beams": [1, 3]}
REAL_ANSWERS = ["Valletta", "Paris", "New York City", "New York", "Kuala Lumpur", "Buenos Aires", "Port Louis", "Port-au-Prince", "Rome"]
REAL = {"inputs": ["Malta", "Haiti", "Italy"], "right": [0, 7, 8], "answers": REAL_ANSWERS, "max_tokens": 5, "beams": [1, 4]}
MODELS = [
    ("tiny_llama", "[h:2] capital of [x] is [z]"),
    ("tiny_gpt2", "[h:2] capital of [x] is [z]"),
    ("tiny_bert", "[h:2] [z] capital [x] is"),
]
LIMIT = 10


class Model:
    """A language model and one template, whose words stand around the input: "before [x] after"."""

    def __init__(self, name: str, folder: Path, template: str):
        self.name, self.template = name, template
        self.masked = "bert" in name
        kind = AutoModelForMaskedLM if self.masked else AutoModelForCausalLM
        self.lm = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval().requires_grad_(False)
        self.tok = AutoTokenizer.from_pretrained(folder)
        self.table = self.lm.get_input_embeddings().weight
        self.prompt = start(self.table.shape[1]) if template.startswith("[h:2]") else torch.zeros(0, self.table.shape[1])

    def ids(self, text: str) -> list[int]:
        return self.tok(text, add_special_tokens=False).input_ids

    def answer(self, word: str) -> list[int]:
        return self.ids(f" {word}")

    def special(self) -> set[int]:
        return {i for i, token in self.tok.added_tokens_decoder.items() if token.special}

    @functools.cache
    def ends(self) -> list[int]:
        return sorted(self.special() | {i for i in range(len(self.table)) if "\n" in self.tok.decode([i])})

    def embedded(self, x: str, answer: list[int]) -> tuple[torch.Tensor, int]:
        """Embeddings of the template with an answer in it, [seq, hidden], and where the answer begins."""
        before, after = self.template.removeprefix("[h:2]").replace("[x]", x).split("[z]")
        before, after = self.ids(before.rstrip()), self.ids(after)
        opens, closes = ([self.tok.cls_token_id], [self.tok.sep_token_id]) if self.masked else ([], [])
        front = torch.cat([self.table[opens], self.prompt, self.table[before]])
        return torch.cat([front, self.table[answer + after + closes]]), len(front)

    def log_probabilities(self, x: str, answer: list[int]) -> torch.Tensor:
        """What is said at each place of an answer, [tokens, vocab]."""
        embedded, begins = self.embedded(x, answer if self.masked else answer[:-1])
        logits = self.lm(inputs_embeds=embedded[None]).logits[0].log_softmax(-1)
        return logits[begins : begins + len(answer)] if self.masked else logits[begins - 1 :]

    def score(self, x: str, answer: list[int], scoring: str) -> float:
        """The sum over the tokens of an answer."""
        if not self.masked:
            said = self.log_probabilities(x, answer)
            return float(sum(row[token] for row, token in zip(said, answer, strict=True)))
        mask, total = self.tok.mask_token_id, 0.0
        for place, token in enumerate(answer):
            after = answer[place + 1 :] if scoring == "pseudo-likelihood" else [mask] * (len(answer) - place - 1)
            total += float(self.log_probabilities(x, answer[:place] + [mask] + after)[place, token])
        return total

    def generated(self, x: str, beams: int, normalised: bool, max_tokens: int) -> list[dict]:
        embedded, _ = self.embedded(x, [])
        ends = self.ends()
        found = self.lm.generate(
            inputs_embeds=embedded[None], attention_mask=torch.ones(1, len(embedded), dtype=torch.long), max_new_tokens=max_tokens, do_sample=False,
            num_beams=beams, num_return_sequences=beams, length_penalty=float(normalised), early_stopping="never" if beams > 1 else False,
            eos_token_id=ends, pad_token_id=ends[0], return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
        answers = []
        for index, sequence in enumerate(found.sequences.tolist()):
            end = next((i for i, token in enumerate(sequence) if token in ends), len(sequence))
            said = sequence[: end + 1]
            score = self.score(x, said, "left-to-right") / (len(said) if normalised else 1)
            if beams > 1:
                assert abs(score - float(found.sequences_scores[index])) < 1e-3, (score, found.sequences_scores[index])
            answers.append({"tokens": sequence[:end], "score": number(score)})
        return answers

    def filled(self, x: str, places: int, order: str) -> dict:
        tokens, filled, total = [self.tok.mask_token_id] * places, [], 0.0
        forbidden = sorted(self.special())
        while len(filled) < places:
            said = self.log_probabilities(x, tokens)
            said[:, forbidden] = float("-inf")
            best = said.max(-1)
            open_places = [place for place in range(places) if place not in filled]
            place = open_places[0] if order == "left-to-right" else max(open_places, key=lambda place: float(best.values[place]))
            tokens[place] = int(best.indices[place])
            filled.append(place)
            total += float(best.values[place])
        return {"tokens": tokens, "order": filled, "log_probability": number(total)}

    def rank(self, sums: list[float], tokens: list[list[int]], right: int, normalised: bool) -> int:
        scores = [total / len(answer) if normalised else total for total, answer in zip(sums, tokens)]
        return sum(score > scores[right] for score in scores)

    @torch.no_grad()
    def everything(self, asked: dict) -> dict:
        tokens = [self.answer(word) for word in asked["answers"]]
        inputs, right = asked["inputs"], asked["right"]
        found = {"model": self.name, "template": self.template, "prompt": len(self.prompt), **asked, "tokens": tokens, "scores": []}
        del found["max_tokens"], found["beams"]
        for scoring in ["pseudo-likelihood", "left-to-right"] if self.masked else ["left-to-right"]:
            sums = [[self.score(x, answer, scoring) for answer in tokens] for x in inputs]
            ranks = {
                name: [self.rank(row, tokens, answer, normalised) for row, answer in zip(sums, right)]
                for name, normalised in [("ranks", False), ("ranks_normalised", True)]
            }
            found["scores"].append({"scoring": scoring, "sums": [[number(v) for v in row] for row in sums], **ranks})
        limit = asked["max_tokens"]
        if self.masked:
            found["filled"] = [
                {"order": order, "places": places, "answers": [self.filled(x, places, order) for x in inputs]}
                for order in ["left-to-right", "confidence"]
                for places in [2, 4]
            ]
        else:
            found["generated"] = [
                {"beams": beams, "normalised": mean, "max_tokens": limit, "answers": [self.generated(x, beams, mean, limit) for x in inputs]}
                for beams in asked["beams"]
                for mean in [False, True]
            ]
        print(self.name, flush=True)
        return found

    @torch.no_grad()
    def relation(self, folder: Path, limit: int) -> dict:
        """Every example of dev among the answers of all splits, the first `limit` of each."""
        rows = {split: [json.loads(line) for line in open(folder / f"{split}.jsonl", encoding="utf-8")][:limit] for split in ["train", "dev", "test"]}
        words = list(dict.fromkeys(row["obj_label"] for split in rows.values() for row in split))
        tokens = [self.answer(word) for word in words]
        ranks, losses = [], []
        for row in rows["dev"]:
            sums = [self.score(row["sub_label"], answer, "left-to-right") for answer in tokens]
            right = words.index(row["obj_label"])
            ranks.append(self.rank(sums, tokens, right, False))
            losses.append(-sums[right])
        n = len(ranks)
        print(self.name, folder.name, n, flush=True)
        return {
            "relation": folder.name, "template": self.template, "limit": limit, "examples": n, "candidates": len(words),
            "several_tokens": sum(len(self.answer(row["obj_label"])) > 1 for row in rows["dev"]),
            "hits1": sum(rank == 0 for rank in ranks), "hits10": sum(rank < 10 for rank in ranks),
            "mrr": sum(1 / (1 + rank) for rank in ranks) / n, "loss": sum(losses) / n,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smollm2", type=Path, help="Hugging Face folder of SmolLM2-135M")
    parser.add_argument("--bert-tiny", type=Path, help="Hugging Face folder of bert-tiny")
    args = parser.parse_args()
    assert PROMPT == 2
    if args.smollm2 and args.bert_tiny:
        smollm2 = Model("smollm2-135m", args.smollm2, "The capital of [x] is [z]")
        bert = Model("bert-tiny", args.bert_tiny, "The capital of [x] is [z] .")
        models = [smollm2.everything(REAL), bert.everything(REAL)]
        relation = smollm2.relation(ROOT / "datasets" / "lama" / "P36", LIMIT)
        save_json(golden("trainer", "answers_real.json"), {"models": models, "relation": relation})
        return
    models = [Model(name, golden("backbone", name, "config.json").parent, template).everything(TINY) for name, template in MODELS]
    save_json(golden("trainer", "answers.json"), {"models": models})


if __name__ == "__main__":
    main()
