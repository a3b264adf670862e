#!/usr/bin/env python3
"""Times P-tuning of a masked language model as the published code computes it.

    python scripts/bench/masked_step.py --batch 8 --length 24 --virtual 9 --steps 8

A BERT-base of random weights, on which speed does not depend (Liu et al. 2021, arXiv:2103.10385):
prompt vectors spliced one by one, logits of the whole vocabulary at every position, and a full sort
of them for Hit@1. Prints what peft_step.py prints.
"""

import argparse
import json
import time

import torch
from shapes import SHAPES
from timing import figures, times
from transformers import AutoConfig, BertForMaskedLM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=24)
    parser.add_argument("--virtual", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    torch.manual_seed(0)
    began = time.perf_counter()
    kind, sizes = SHAPES["bert-base"]
    model = BertForMaskedLM(AutoConfig.for_model(kind, **sizes)).requires_grad_(False).to(args.device)
    hidden = model.config.hidden_size
    embedding = torch.nn.Embedding(args.virtual, hidden, device=args.device)
    lstm = torch.nn.LSTM(hidden, hidden // 2, 2, bidirectional=True, batch_first=True, device=args.device)
    mlp = torch.nn.Sequential(torch.nn.Linear(hidden, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, hidden)).to(args.device)
    optimizer = torch.optim.Adam([*embedding.parameters(), *lstm.parameters(), *mlp.parameters()], lr=1e-5)
    load_s = time.perf_counter() - began
    ids = torch.randint(5, 28996, (args.batch, args.length), device=args.device)
    labels = torch.full_like(ids, -100)
    labels[:, 4] = ids[:, 4]

    def forward():
        x = model.get_input_embeddings()(ids).clone()
        prompt = mlp(lstm(embedding.weight[None])[0])[0]
        for example in range(args.batch):
            for index in range(args.virtual):
                x[example, index + 1, :] = prompt[index]
        out = model(inputs_embeds=x, attention_mask=torch.ones_like(ids), labels=labels)
        torch.argsort(out.logits, dim=2, descending=True)
        return out.loss

    def train() -> None:
        forward().backward()
        optimizer.step()
        optimizer.zero_grad()

    print(json.dumps({"load_s": load_s, **figures(args, times(args, train), times(args, torch.no_grad()(forward)))}))


if __name__ == "__main__":
    main()
