#!/usr/bin/env python3
"""Trains a leading prompt for labels with PEFT itself: what ptune's encoders are compared with.

    python scripts/reference/peft_labels.py HF_DIR --data FOLDER --encoder lstm --seed 0

HF_DIR is the folder that gguf_to_hf.py wrote, FOLDER has train.jsonl, dev.jsonl and test.jsonl with the keys
"text" and "label". The prompt is TOKENS virtual tokens in front of "TEXT This movie is"; the label's words are
compared at the last position as ptune compares them (log-softmax over all words, the mean of a label's
probabilities, no prior), and training follows the label's cross-entropy by Adam. Encoders: "lstm" and "mlp" are
PEFT's P_TUNING ("mlp" of three layers, where the published code and ptune have two), "direct" its PROMPT_TUNING.
The epoch with the best accuracy on dev is tested. The same in ptune:

    ptune train --config configs/sentiment-causal.toml --set data.path=FOLDER --set verbalizer.calibration=none
        --set 'template.text="[h:8] [x|head] This movie is [z]"' --set prompt_encoder.kind=lstm --set prompt_encoder.init=normal
"""

import argparse
import json
import random
from pathlib import Path

import torch
from peft import PromptEncoderConfig, PromptEncoderReparameterizationType, PromptTuningConfig, PromptTuningInit, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

LABELS = {"positive": ["fantastic", "great", "amazing"], "negative": ["boring", "bad"]}
NAMES = list(LABELS)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face folder")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", choices=["lstm", "mlp", "direct"], default="lstm")
    parser.add_argument("--layers", type=int, choices=[2, 3], default=3, help="of the MLP: PEFT's three, or ptune's two")
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def rows(path: Path, tok) -> list[tuple[list[int], int]]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        # Behind virtual tokens a text begins with a space.
        ids = tok(f" {row['text']} This movie is", add_special_tokens=False).input_ids
        found.append((ids, NAMES.index(row["label"])))
    return found


def scores(model, batch: list, words: list[int], tokens: int) -> torch.Tensor:
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in batch])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in batch])
    logits = model(input_ids=ids, attention_mask=mask).logits
    last = torch.tensor([tokens + len(ids) - 1 for ids, _ in batch])
    logits = logits[torch.arange(len(batch)), last][:, words].log_softmax(1)
    first, found = 0, []
    for own in LABELS.values():
        found.append(logits[:, first : first + len(own)].exp().mean(1).log())
        first += len(own)
    return torch.stack(found, 1)


@torch.no_grad()
def accuracy(model, examples: list, words: list[int], tokens: int) -> float:
    right = 0
    for i in range(0, len(examples), 64):
        batch = examples[i : i + 64]
        right += sum(int(best) == label for best, (_, label) in zip(scores(model, batch, words, tokens).argmax(1), batch))
    return right / len(examples)


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    tok = AutoTokenizer.from_pretrained(args.model)
    lm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    words = [tok(f" {word}", add_special_tokens=False).input_ids[0] for own in LABELS.values() for word in own]
    if args.encoder == "direct":
        config = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=args.tokens, prompt_tuning_init=PromptTuningInit.RANDOM)
    else:
        kind = PromptEncoderReparameterizationType(args.encoder.upper())
        # PEFT counts the LSTM's units for each direction, the published code and ptune for both together.
        width = lm.config.hidden_size // 2 if args.encoder == "lstm" else lm.config.hidden_size
        config = PromptEncoderConfig(
            task_type=TaskType.CAUSAL_LM, num_virtual_tokens=args.tokens, encoder_reparameterization_type=kind,
            encoder_hidden_size=width, encoder_dropout=0.0,
        )  # fmt: skip
    model = get_peft_model(lm, config).eval()
    if args.encoder == "mlp" and args.layers == 2:
        wide = lm.config.hidden_size
        head = torch.nn.Sequential(torch.nn.Linear(wide, wide), torch.nn.ReLU(), torch.nn.Linear(wide, wide))
        model.prompt_encoder["default"].mlp_head = head
    train, dev, test = (rows(args.data / f"{name}.jsonl", tok) for name in ("train", "dev", "test"))
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=args.lr)
    best, kept = -1.0, None
    for epoch in range(args.epochs):
        random.shuffle(train)
        total = 0.0
        for i in range(0, len(train), args.batch):
            batch = train[i : i + args.batch]
            loss = torch.nn.functional.nll_loss(scores(model, batch, words, args.tokens).log_softmax(1), torch.tensor([y for _, y in batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        dev_accuracy = accuracy(model, dev, words, args.tokens)
        print(f"epoch {epoch + 1} loss {total / len(train):.3f} dev {100 * dev_accuracy:.1f}", flush=True)
        if dev_accuracy > best:
            best, kept = dev_accuracy, [parameter.detach().clone() for parameter in learned]
    with torch.no_grad():
        for parameter, value in zip(learned, kept):
            parameter.copy_(value)
    print(f"{args.encoder} seed {args.seed}: dev {100 * best:.1f} test {100 * accuracy(model, test, words, args.tokens):.1f}")


if __name__ == "__main__":
    main()
