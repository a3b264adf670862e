//! `[backbone]`: which frozen language model, and how it runs.

use super::reader::{OrDefault, Reader};
use super::resolve::truth;
use super::sections::*;

/// Reads `[backbone]`.
pub(super) fn backbone(reader: &mut Reader<'_>) -> BackboneSettings {
    let source = source(reader);
    BackboneSettings {
        source,
        fused: truth(reader, "backbone.fused", true),
        share_prefix: truth(reader, "backbone.share_prefix", true),
        answer_rows: truth(reader, "backbone.answer_rows", true),
        memory: reader
            .choice(
                "backbone.memory",
                &[("tape", MemoryMode::Tape), ("recompute", MemoryMode::Recompute)],
            )
            .or_default_to(MemoryMode::Tape),
        dtype: reader
            .choice(
                "backbone.dtype",
                &[("f32", Dtype::F32), ("bf16", Dtype::Bf16), ("f16", Dtype::F16)],
            )
            .or_default_to(Dtype::F32),
        rounding: reader
            .choice(
                "backbone.rounding",
                &[("none", Rounding::None), ("q8", Rounding::Q8), ("q4", Rounding::Q4)],
            )
            .or_default_to(Rounding::None),
        random_weights: truth(reader, "backbone.random_weights", false),
    }
}

/// Reads where the backbone comes from.
pub(super) fn source(reader: &mut Reader<'_>) -> String {
    let key = "backbone.source";
    match reader.text(key) {
        Some(given) if looks_like_path(&given.value) => reader
            .find(key, &given.value, &given.place, &[])
            .and_then(|path| path.into_os_string().into_string().ok())
            .unwrap_or_default(),
        Some(given) => given.value,
        None => {
            let expected =
                "a backbone's name, hf:ORGANISATION/MODEL, a Hugging Face folder or a .gguf file";
            reader.missing(key, expected, "[backbone] source = \"smollm2-135m\"");
            String::new()
        }
    }
}

fn looks_like_path(text: &str) -> bool {
    if text.starts_with("hf:") {
        return false;
    }
    text.contains(['/', '\\']) || text.ends_with(".gguf") || text.starts_with('.')
}
