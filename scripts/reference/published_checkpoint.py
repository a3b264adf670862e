#!/usr/bin/env python3
"""A checkpoint as the published P-tuning code writes it, and the vectors that its encoder gives.

    python scripts/reference/published_checkpoint.py

Writes crates/trainer/tests/golden/published.ckpt, what THUDM/P-tuning's LAMA/cli.py saves for a language model of 24
numbers and the template (1, 2, 1), of random weights: the encoder's state dict under `embedding` beside figures, the
time and the arguments. published.json beside it has the encoder's output, [4, 24].
"""

import argparse
import datetime

import torch
from torch import nn

from common import array, golden, save_json, shown

HIDDEN, TEMPLATE = 24, (1, 2, 1)


class PromptEncoder(nn.Module):
    """The published encoder under its own names."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(sum(TEMPLATE), HIDDEN)
        self.lstm_head = nn.LSTM(HIDDEN, HIDDEN // 2, num_layers=2, bidirectional=True, batch_first=True)
        self.mlp_head = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN))

    def forward(self) -> torch.Tensor:
        return self.mlp_head(self.lstm_head(self.embedding.weight[None])[0])[0]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.manual_seed(0)
    encoder = PromptEncoder()
    checkpoint = {
        "embedding": encoder.state_dict(),
        "dev_hit@1": 0.5,
        "test_hit@1": 0.4,
        "test_size": 3,
        "ckpt_name": "epoch_3_dev_50.0_test_40.0.ckpt",
        "time": datetime.datetime(2021, 3, 18, 12, 0, 0),
        "args": argparse.Namespace(relation_id="P36", template=TEMPLATE, lr=1e-5, device=torch.device("cpu")),
    }
    path = golden("trainer", "published.ckpt")
    torch.save(checkpoint, path)
    path.chmod(0o644)
    print(f"{shown(path)}: {path.stat().st_size} bytes")
    save_json(golden("trainer", "published.json"), array(encoder()))


if __name__ == "__main__":
    main()
