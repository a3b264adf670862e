"""Where golden files live and how they are written.

Numbers in JSON are the shortest decimals that read back as the same 32-bit float.
"""

import json
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]


def golden(crate: str, *parts: str) -> Path:
    """A path under crates/CRATE/tests/golden, its folder made."""
    path = ROOT.joinpath("crates", crate, "tests", "golden", *parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Writes a safetensors file."""
    save_file({name: t.detach().contiguous().clone() for name, t in tensors.items()}, path)
    path.chmod(0o644)
    print(f"{shown(path)}: {len(tensors)} tensors, {path.stat().st_size} bytes")


def save_json(path: Path, value) -> None:
    """Writes JSON: one line for each list of numbers, indented above that."""
    path.write_text(dumps(value) + "\n")
    print(f"{shown(path)}: {path.stat().st_size} bytes")


def dumps(value, indent: int = 0) -> str:
    """JSON with lists of plain values on one line, so that a diff stays readable."""
    here, inner = " " * indent, " " * (indent + 1)
    if isinstance(value, dict) and value:
        rows = (f"{inner}{json.dumps(k)}: {dumps(v, indent + 1)}" for k, v in value.items())
        return "{\n" + ",\n".join(rows) + "\n" + here + "}"
    if isinstance(value, list) and any(isinstance(v, dict) for v in value):
        return "[\n" + ",\n".join(inner + dumps(v, indent + 1) for v in value) + "\n" + here + "]"
    return json.dumps(value, ensure_ascii=False)


def numbers(tensor) -> list[float]:
    """The elements in row-major order, each as the shortest decimal of its 32-bit float."""
    flat = torch.as_tensor(tensor).detach().to(torch.float32).flatten().numpy()
    return [number(v) for v in flat]


def number(value) -> float:
    """One 32-bit float as its shortest decimal."""
    return float(str(numpy.float32(value)))


def array(tensor: torch.Tensor) -> dict:
    """A tensor as {"shape": [...], "data": [...]}."""
    return {"shape": list(tensor.shape), "data": numbers(tensor)}


def shown(path: Path) -> str:
    """A path as a reader of the repository would name it."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
