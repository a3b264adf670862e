#!/usr/bin/env python3
"""Holds an exported PEFT adapter against PEFT itself.

    ptune export RUN --format peft --out OUT/adapter --check OUT/peft_check.json
    python scripts/reference/peft_check.py OUT/adapter HF_DIR OUT/peft_check.json

Loads the adapter with the real PEFT on the backbone's folder (a GGUF's is what gguf_to_hf.py wrote), runs
the prompts of the check file and compares the answer's logits with those that ptune gave:
{"prompts": [{"text", "ids": [token ids without virtual tokens that PEFT prepends],
"answer": [which of them scores the answer], "top": [[id, logit], ..]}]}; `text` is there for readers.
A prompt encoder beside the adapter is loaded as well, to train on from, and has to give the same; so has
the model that rows of the vocabulary are merged into. Unmerged, PEFT leaves out the bias of a head that shares
the table, so there only the merged one is compared.
The card has to be one that Hugging Face's hub reads. Exits 1 where a logit differs by more than the
tolerance.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from huggingface_hub import ModelCard
from peft import PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="folder with adapter_config.json and adapter_model.safetensors")
    parser.add_argument("model", type=Path, help="Hugging Face folder of the backbone")
    parser.add_argument("golden", type=Path, nargs="?", help="the check file (default: peft_check.json beside the export)")
    parser.add_argument("--tolerance", type=float, default=2e-3)
    args = parser.parse_args()
    # PEFT and transformers take a path that does not exist for a name on the Hub.
    for folder, name in [(args.export, "adapter_config.json"), (args.model, "config.json")]:
        if not (folder / name).is_file():
            parser.error(f"{folder / name}: no such file")
    args.golden = args.golden or args.export.resolve().parent / "peft_check.json"
    return args


def backbone(folder: Path) -> torch.nn.Module:
    """The language model, causal or masked as its folder says."""
    classes = AutoConfig.from_pretrained(folder).architectures or []
    masked = any(name.endswith("MaskedLM") for name in classes)
    kind = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=torch.float32).eval()


def answer_logits(model: torch.nn.Module, prompt: dict) -> torch.Tensor:
    ids = torch.tensor([prompt["ids"]])
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    # Virtual tokens that PEFT prepends have logits too.
    return logits[len(logits) - len(prompt["ids"]) + prompt["answer"]]


def check_card(folder: Path) -> None:
    """Whether the hub could read the card, and finds in it what every card has."""
    data = ModelCard.load(folder / "README.md").data
    missing = [key for key in ["library_name", "license", "pipeline_tag", "tags"] if not getattr(data, key)]
    if missing or data.library_name != "peft":
        sys.exit(f"{folder}/README.md: {missing or data.library_name}")
    results = data.eval_results or []
    print(f"card: {data.license}, {', '.join(f'{r.metric_name} {r.metric_value:.3f}' for r in results)}")
    if not results:
        sys.exit(f"{folder}/README.md: no scores")


@torch.no_grad()
def compare(kind: str, model: torch.nn.Module, prompts: list[dict], plain: list[torch.Tensor], tok, tolerance: float) -> None:
    worst, moved = 0.0, 0.0
    for prompt, without in zip(prompts, plain):
        logits = answer_logits(model, prompt)
        # NaN is as far off as can be, and max() would pass over it.
        gaps = [torch.tensor(value - float(logits[i])).abs().nan_to_num(float("inf")).item() for i, value in prompt["top"]]
        gap = max(gaps, default=0.0)
        worst, moved = max(worst, gap), max(moved, float((logits - without).abs().max()))
        print(f"{tok.decode(prompt['ids'])!r}: {len(gaps)} logits, largest difference {gap:.2e}, PEFT's first {tok.decode(logits.argmax().item())!r}")
    print(f"{kind}: largest difference {worst:.2e} over {len(prompts)} prompts, tolerance {tolerance:.0e}")
    if moved < tolerance:
        sys.exit("the adapter changes no logit: this comparison would pass without it")
    if worst > tolerance:
        sys.exit(1)


def main() -> None:
    args = arguments()
    prompts = json.loads(args.golden.read_text(encoding="utf-8"))["prompts"]
    if not any(prompt["top"] for prompt in prompts):
        sys.exit(f"{args.golden}: no logits to compare")
    check_card(args.export)
    tok = AutoTokenizer.from_pretrained(args.model)
    lm = backbone(args.model)
    with torch.no_grad():
        plain = [answer_logits(lm, prompt) for prompt in prompts]
    model = PeftModel.from_pretrained(lm, args.export).eval()
    kind = model.peft_config["default"].peft_type.value

    def held(what: str, model: torch.nn.Module) -> None:
        compare(what, model, prompts, plain, tok, args.tolerance)

    is_rows = kind == "TRAINABLE_TOKENS"
    if not (is_rows and getattr(lm.get_output_embeddings(), "bias", None) is not None):
        held(kind, model)
    if is_rows:
        held(f"{kind}, merged", model.merge_and_unload())
    encoder = args.export / "prompt_encoder.safetensors"
    if encoder.is_file():
        config = PeftConfig.from_pretrained(args.export)
        config.inference_mode = False
        model = get_peft_model(backbone(args.model), config).eval()
        model.prompt_encoder["default"].load_state_dict(load_file(encoder))
        held(f"{kind}, by its encoder", model)


if __name__ == "__main__":
    main()
