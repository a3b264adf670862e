"""Relations of LAMA as the probing protocol scores them with a causal language model."""

import json
from pathlib import Path

import torch

SPLITS = ["train", "dev", "test"]


class Relation:
    """A relation's examples, (subject, token of the object), and the tokens that are ranked.

    The object's token is that of " object". Examples whose object is not one token are dropped.
    The candidates are the objects of all splits and, given a file, its words of one token.
    """

    def __init__(self, tok, folder: Path, candidates: str = "dataset"):
        self.tok = tok
        self.splits = {split: self._examples(folder / f"{split}.jsonl") for split in SPLITS}
        self.candidates = {y for rows in self.splits.values() for _, y in rows}
        if candidates != "dataset":
            with open(candidates, encoding="utf-8") as words:
                self.candidates |= {y[0] for y in (self.ids(" " + word.strip()) for word in words) if len(y) == 1}

    def ids(self, text: str) -> list[int]:
        return self.tok(text, add_special_tokens=False).input_ids

    def _examples(self, path: Path) -> list[tuple[str, int]]:
        with open(path, encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        rows = [(row["sub_label"], self.ids(" " + row["obj_label"])) for row in rows]
        return [(x, y[0]) for x, y in rows if len(y) == 1]

    def describe(self) -> str:
        counts = " ".join(f"{split} {len(rows)}" for split, rows in self.splits.items())
        return f"{counts} candidates {len(self.candidates)}"


class Template:
    """Segments joined by '|': a number is that many virtual tokens, [X] the subject."""

    def __init__(self, text: str, relation: Relation):
        self.segments = [int(part) if part.isdigit() else part for part in text.split("|")]
        self.virtual = sum(part for part in self.segments if isinstance(part, int))
        self.relation = relation

    def encode(self, subject: str) -> list[int]:
        """Token ids, and -1, -2 ... for virtual tokens."""
        row, seen = [], 0
        for part in self.segments:
            if isinstance(part, int):
                row += [-(seen + i + 1) for i in range(part)]
                seen += part
            else:
                row += self.relation.ids(part.replace("[X]", subject))
        return row

    def logits(self, lm, batch: list[tuple[str, int]], prompt: torch.Tensor | None) -> torch.Tensor:
        """Logits at the last position of each example, [batch, vocab]."""
        table = lm.get_input_embeddings().weight
        rows = [torch.tensor(self.encode(x)) for x, _ in batch]
        length = max(map(len, rows))
        attend = torch.zeros(len(rows), length, dtype=torch.long)
        embedded = []
        for i, row in enumerate(rows):
            e = table[row.clamp(min=0)]
            if prompt is not None:
                e = torch.where((row < 0)[:, None], prompt[(-row - 1).clamp(min=0)], e)
            embedded.append(torch.cat([e, torch.zeros(length - len(row), table.shape[1])]))
            attend[i, : len(row)] = 1
        last = torch.tensor([len(row) - 1 for row in rows])
        hidden = lm.model(inputs_embeds=torch.stack(embedded), attention_mask=attend).last_hidden_state
        return lm.lm_head(hidden[torch.arange(len(rows)), last])


@torch.no_grad()
def evaluate(lm, template: Template, split: str, prompt: torch.Tensor | None = None, batch: int = 64) -> dict:
    """Counts over one split: an example's rank is the number of candidates scored strictly higher.

    `loss` is the mean cross-entropy over the whole vocabulary.
    """
    rows = sorted(template.relation.splits[split], key=lambda row: len(row[0]))
    outside = None
    hits1 = hits10 = 0
    reciprocal = loss = 0.0
    for i in range(0, len(rows), batch):
        logits = template.logits(lm, rows[i : i + batch], prompt)
        if outside is None:
            outside = torch.full((logits.shape[1],), float("-inf"))
            outside[list(template.relation.candidates)] = 0
        y = torch.tensor([y for _, y in rows[i : i + batch]])
        ranked = logits + outside
        rank = (ranked > ranked.gather(1, y[:, None])).sum(1)
        hits1 += int((rank == 0).sum())
        hits10 += int((rank < 10).sum())
        reciprocal += float((1 / (1 + rank.double())).sum())
        loss += float(torch.nn.functional.cross_entropy(logits, y, reduction="sum"))
    n = len(rows)
    return {"examples": n, "hits1": hits1, "hits10": hits10, "mrr": reciprocal / n, "loss": loss / n}


def show(name: str, scores: dict) -> str:
    n = scores["examples"]
    return f"{name} P@1 {100 * scores['hits1'] / n:.1f} P@10 {100 * scores['hits10'] / n:.1f} MRR {100 * scores['mrr']:.1f}"
