//! Under which of several names a tensor stands in a file.
//!
//! Checkpoints of one family differ: the base model may have been saved without its prefix (`wte.weight`
//! for `transformer.wte.weight`), and norms converted from TensorFlow call their vectors `gamma` and
//! `beta`.

use super::Weights;

/// The name in the file of a tensor that a family calls `name`, if it is there.
pub fn resolve(weights: &dyn Weights, name: &str) -> Option<String> {
    let old = (name.strip_suffix("Norm.weight").map(|norm| format!("{norm}Norm.gamma")))
        .or_else(|| name.strip_suffix("Norm.bias").map(|norm| format!("{norm}Norm.beta")));
    let names = [Some(name.to_owned()), old];
    let mut names: Vec<String> = names.into_iter().flatten().collect();
    let bare = names.iter().filter_map(|name| name.split_once('.'));
    let bare: Vec<String> = bare.map(|(_, rest)| rest.to_owned()).collect();
    names.extend(bare);
    names.into_iter().find(|name| weights.shape(name).is_some())
}
