"""The prompt encoder of the published P-tuning code, in PyTorch.

`lstm`:   Embedding(n, H) -> two-layer bidirectional LSTM, H/2 each way -> Linear -> ReLU -> Linear
`mlp`:    Embedding(n, H) -> Linear -> ReLU -> Linear
`direct`: Embedding(n, H)
"""

import torch
from torch import nn

KINDS = ["lstm", "mlp", "direct"]


class PromptEncoder(nn.Module):
    """Gives the n virtual tokens, [n, hidden]."""

    def __init__(self, n: int, hidden: int, kind: str):
        super().__init__()
        self.embedding = nn.Embedding(n, hidden)
        if kind == "lstm":
            self.lstm = nn.LSTM(hidden, hidden // 2, 2, bidirectional=True, batch_first=True)
        if kind != "direct":
            self.mlp = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.kind = kind

    def forward(self) -> torch.Tensor:
        x = self.embedding.weight[None]
        if self.kind == "lstm":
            x = self.lstm(x)[0]
        if self.kind != "direct":
            x = self.mlp(x)
        return x[0]
