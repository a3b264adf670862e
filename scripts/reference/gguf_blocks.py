#!/usr/bin/env python3
"""Golden files for the GGUF reader: one file per storage type, and a tiny Llama.

    python scripts/reference/gguf_blocks.py

F32.Q8_0.f32 and F32.Q4_1.f32 are the numbers of F32.f32 after they were rounded to these types.

For each type, NAME.gguf holds a tensor "blocks" of three rows and NAME.f32 what the gguf package
makes of it (little-endian). Quantised blocks are random bytes but for their scales, which are drawn
small, so that every bit pattern of the integers occurs.

tiny.gguf is a Llama of two layers written as llama.cpp's converter would, rows of Q and K permuted,
in several types; tiny.safetensors holds some of its tensors as Hugging Face has them.
"""

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

from common import golden, shown

ROWS, COLUMNS = 3, 256
# Where a block keeps its f16 scales, in bytes.
SCALES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}


def random_rows(kind: Type, rng: np.random.Generator) -> np.ndarray:
    """Three rows of a type, as the writer wants them: bytes where numpy has no such type."""
    if kind in (Type.F32, Type.F16, Type.BF16):
        values = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
        return values if kind == Type.F32 else gguf.quantize(values, kind)
    length, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (ROWS * COLUMNS // length, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scales = rng.normal(scale=0.01, size=len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(ROWS, -1)


def write_type(kind: Type, rng: np.random.Generator) -> None:
    """NAME.gguf and NAME.f32."""
    rows = random_rows(kind, rng)
    path = golden("backbone", "gguf", f"{kind.name}.gguf")
    writer = gguf.GGUFWriter(path, "blocks")
    writer.add_tensor("blocks", rows, raw_dtype=kind)
    finish(writer)
    expected = gguf.dequantize(rows, kind).astype("<f4")
    assert expected.shape == (ROWS, COLUMNS)
    path.with_suffix(".f32").write_bytes(expected.tobytes())
    print(f"{shown(path)}: {path.stat().st_size} bytes")
    if kind == Type.F32:
        for fewer in (Type.Q8_0, Type.Q4_1):
            rounded = gguf.dequantize(gguf.quantize(rows, fewer), fewer).astype("<f4")
            path.with_suffix(f".{fewer.name}.f32").write_bytes(rounded.tobytes())


def permute(weight: np.ndarray, heads: int) -> np.ndarray:
    """LlamaModel.permute of llama.cpp's convert_hf_to_gguf.py."""
    shape = (heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return weight.reshape(shape).swapaxes(1, 2).reshape(weight.shape)


def byte_alphabet() -> list[str]:
    """The characters that stand for the 256 bytes in byte-level BPE."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return list(bytes_to_unicode().values())


def write_tiny(rng: np.random.Generator) -> None:
    """tiny.gguf and tiny.safetensors."""
    hidden, inner, heads, kv_heads, layers = 32, 64, 4, 2, 2
    merges = ["Ġ c", "a p", "Ġc ap", "i t", "Ġcap it", "a l", "Ġcapit al"]
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>"]
    types = [3, 3, 3, 4]
    plain = byte_alphabet() + [merge.replace(" ", "") for merge in merges]
    tokens, types = tokens + plain, types + [1] * len(plain)

    path = golden("backbone", "gguf", "tiny.gguf")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)

    expected = {}

    def add(name: str, hf: str, shape: tuple, kind: Type, heads: int | None = None) -> None:
        weight = rng.normal(scale=0.1, size=shape).astype(np.float32)
        stored = permute(weight, heads) if heads else weight
        raw = stored if kind == Type.F32 else gguf.quantize(stored, kind)
        writer.add_tensor(name, raw, raw_dtype=kind)
        # Rows are quantised one by one, so their order does not matter to their values.
        whole = gguf.quantize(weight, kind)
        expected[hf] = gguf.dequantize(whole, kind).astype(np.float32)

    add("token_embd.weight", "model.embed_tokens.weight", (len(tokens), hidden), Type.Q8_0)
    for layer in range(layers):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        attention, mlp = theirs + "self_attn.", theirs + "mlp."
        kv = kv_heads * hidden // heads
        add(ours + "attn_norm.weight", theirs + "input_layernorm.weight", (hidden,), Type.F32)
        add(ours + "attn_q.weight", attention + "q_proj.weight", (hidden, hidden), Type.Q4_1, heads)
        add(ours + "attn_k.weight", attention + "k_proj.weight", (kv, hidden), Type.F16, kv_heads)
        add(ours + "attn_v.weight", attention + "v_proj.weight", (kv, hidden), Type.BF16)
        add(ours + "attn_output.weight", attention + "o_proj.weight", (hidden, hidden), Type.Q5_0)
        add(ours + "ffn_norm.weight", theirs + "post_attention_layernorm.weight", (hidden,), Type.F32)
        add(ours + "ffn_gate.weight", mlp + "gate_proj.weight", (inner, hidden), Type.Q4_0)
        add(ours + "ffn_up.weight", mlp + "up_proj.weight", (inner, hidden), Type.Q5_1)
        add(ours + "ffn_down.weight", mlp + "down_proj.weight", (hidden, inner), Type.Q4_1)
    add("output_norm.weight", "model.norm.weight", (hidden,), Type.F32)
    finish(writer)
    kept = {name: tensor for name, tensor in expected.items() if "embed" not in name and ".0." not in name}
    save_file(kept, path.with_suffix(".safetensors"))
    print(f"{shown(path)}: {path.stat().st_size} bytes")


def finish(writer: gguf.GGUFWriter) -> None:
    """Writes a file whole."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    rng = np.random.default_rng(0)
    for kind in (Type.F32, Type.F16, Type.BF16, *SCALES):
        write_type(kind, rng)
    write_tiny(rng)


if __name__ == "__main__":
    main()
