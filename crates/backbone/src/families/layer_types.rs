//! Which layers of a model see everything, and which only what is near.

use serde_json::Value;

use crate::config::Config;
use crate::error::LoadError;

/// A layer that sees everything.
pub const FULL: &str = "full_attention";
/// A layer that sees a window.
pub const SLIDING: &str = "sliding_attention";

/// For each layer whether it sees everything: `layer_types` since transformers 4.53, before that a
/// rule of the family's.
///
/// # Errors
/// A list of another length, or a type that is not built in.
pub fn layer_types(
    config: &Config<'_>,
    layers: usize,
    rule: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, LoadError> {
    let Some(value) = config.get("layer_types") else {
        return Ok((0..layers).map(rule).collect());
    };
    let full = |value: &Value| match value.as_str() {
        Some(FULL) => Some(true),
        Some(SLIDING) => Some(false),
        _ => None,
    };
    let types =
        value.as_array().and_then(|types| types.iter().map(full).collect::<Option<Vec<_>>>());
    types.filter(|types| types.len() == layers).ok_or_else(|| {
        let expected = format!("a list of {layers} times \"{FULL}\" or \"{SLIDING}\"");
        config.unsupported("layer_types", expected, value)
    })
}
