#!/usr/bin/env python3
"""P-tuning of one LAMA relation in plain PyTorch: the figures that ptune is held against.

    python scripts/reference/ptuning_lama.py HF_DIR --relation P36 --template "The capital of [X] is"
    python scripts/reference/ptuning_lama.py HF_DIR --relation P36 --template "3| capital of [X]|3" --epochs 8

HF_DIR is the folder that gguf_to_hf.py wrote. Template: segments joined by '|'; a number is that
many virtual tokens. Without virtual tokens it scores the prompt as it stands. The checkpoint of the
best dev P@1 is the one that is tested.
"""

import argparse
import random
import time
from pathlib import Path

import torch
from common import ROOT
from lama import Relation, Template, evaluate, show
from prompt_encoder import KINDS, PromptEncoder
from transformers import AutoModelForCausalLM, AutoTokenizer


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder")
    parser.add_argument("--data", type=Path, default=ROOT / "datasets" / "lama", help="folder of relation folders")
    parser.add_argument("--relation", default="P36")
    parser.add_argument("--template", default="3| capital of [X]|3")
    parser.add_argument("--candidates", default="dataset", help="'dataset', or a file of words, one in a line")
    parser.add_argument("--encoder", default="lstm", choices=KINDS)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def start(n: int, table: torch.Tensor, kind: str) -> PromptEncoder:
    encoder = PromptEncoder(n, table.shape[1], kind)
    if kind == "direct":
        with torch.no_grad():
            encoder.embedding.weight.copy_(table[torch.randint(0, table.shape[0], (n,))])
    return encoder


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    tok = AutoTokenizer.from_pretrained(args.model)
    lm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval().requires_grad_(False)
    relation = Relation(tok, args.data / args.relation, args.candidates)
    template = Template(args.template, relation)
    print(f"{args.relation}: {relation.describe()}", flush=True)
    if template.virtual == 0:
        print(show("dev", evaluate(lm, template, "dev")), show("test", evaluate(lm, template, "test")))
        return

    encoder = start(template.virtual, lm.get_input_embeddings().weight, args.encoder)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=args.lr)
    train = relation.splits["train"]
    best_hits, best_state, best_epoch, began = -1, None, 0, time.time()
    for epoch in range(args.epochs):
        random.shuffle(train)
        total, epoch_began = 0.0, time.time()
        for i in range(0, len(train), args.batch):
            batch = train[i : i + args.batch]
            labels = torch.tensor([y for _, y in batch])
            loss = torch.nn.functional.cross_entropy(template.logits(lm, batch, encoder()), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        rate = len(train) / (time.time() - epoch_began)
        dev = evaluate(lm, template, "dev", encoder().detach())
        print(f"epoch {epoch} loss {total / len(train):.3f} {show('dev', dev)} {rate:.1f} examples/s", flush=True)
        if dev["hits1"] > best_hits:
            best_hits, best_epoch = dev["hits1"], epoch
            best_state = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.load_state_dict(best_state)
    test = evaluate(lm, template, "test", encoder().detach())
    print(f"best epoch {best_epoch}", show("test", test), f"{time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
