//! Guesses at what a misspelt name was meant to be.

/// The name most like `typed`, if one is near enough that offering it helps.
///
/// Near is at most a third of the longer name in insertions, deletions, substitutions and swaps
/// (Damerau–Levenshtein), letter case apart.
pub(crate) fn nearest<'a>(
    typed: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    names
        .into_iter()
        .map(|name| {
            let distance = strsim::damerau_levenshtein(&typed, &name.to_lowercase());
            (distance, name)
        })
        .filter(|(distance, name)| {
            let longer = typed.chars().count().max(name.chars().count());
            distance * 3 <= longer
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// Names that other tools give to our keys, last segment only.
const ELSEWHERE: &[(&str, &str)] = &[
    ("learning_rate", "train.lr"),
    ("optim", "train.optimizer"),
    ("scheduler", "train.schedule"),
    ("lr_scheduler", "train.schedule"),
    ("lr_scheduler_type", "train.schedule"),
    ("warmup", "train.warmup_steps"),
    ("num_warmup_steps", "train.warmup_steps"),
    ("decay", "train.gamma"),
    ("num_epochs", "train.epochs"),
    ("num_train_epochs", "train.epochs"),
    ("batch", "train.batch_size"),
    ("per_device_train_batch_size", "train.batch_size"),
    ("per_device_eval_batch_size", "eval.batch_size"),
    ("eval_batch", "eval.batch_size"),
    ("eval_batch_size", "eval.batch_size"),
    ("gradient_accumulation_steps", "train.accumulation"),
    ("grad_accum", "train.accumulation"),
    ("max_grad_norm", "train.clip_norm"),
    ("grad_clip", "train.clip_norm"),
    ("early_stopping_patience", "train.patience"),
    ("model", "backbone.source"),
    ("model_name_or_path", "backbone.source"),
    ("encoder_hidden_size", "prompt_encoder.hidden"),
    ("output_dir", "runs"),
    ("label", "data.answer"),
    ("prompt", "template.text"),
    ("folder", "data.path"),
    ("max_examples", "data.limit"),
];

/// The known key (`section.key`) that the unknown key `typed` was likely meant to be.
///
/// Tried in turn: the same key in another section, another tool's name for it, a near name in the
/// same section, a near name anywhere.
pub(super) fn nearest_key<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    let (section, leaf) = split(typed);
    let anywhere = || known.iter().copied();
    // Of one name in several sections, training's is meant.
    anywhere()
        .filter(|key| split(key).1 == leaf)
        .min_by_key(|key| split(key).0 != "train")
        .or_else(|| {
            let (_, key) = ELSEWHERE.iter().find(|(name, _)| *name == leaf)?;
            anywhere().find(|known| known == key)
        })
        .or_else(|| nearest_leaf(leaf, anywhere().filter(|key| split(key).0 == section)))
        .or_else(|| nearest(typed, anywhere()))
        .or_else(|| nearest_leaf(leaf, anywhere()))
}

fn nearest_leaf<'a>(leaf: &str, keys: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let keys: Vec<&str> = keys.collect();
    let found = nearest(leaf, keys.iter().map(|key| split(key).1))?;
    keys.into_iter().find(|key| split(key).1 == found)
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] =
        &["seed", "train.lr", "train.epochs", "train.batch_size", "eval.batch_size", "eval.top_k"];

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("adma", ["adam", "adamw"]), Some("adam"));
        assert_eq!(nearest("LSTM", ["lstm", "mlp"]), Some("lstm"));
        assert_eq!(nearest("sgd", ["adam", "adamw"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn keys_are_guessed_by_section_by_other_tools_names_and_by_spelling() {
        assert_eq!(nearest_key("lr", KNOWN), Some("train.lr"));
        assert_eq!(nearest_key("train.learning_rate", KNOWN), Some("train.lr"));
        assert_eq!(nearest_key("eval.batch_sise", KNOWN), Some("eval.batch_size"));
        assert_eq!(nearest_key("train.batch_sise", KNOWN), Some("train.batch_size"));
        assert_eq!(nearest_key("trian.epoch", KNOWN), Some("train.epochs"));
        assert_eq!(nearest_key("sead", KNOWN), Some("seed"));
        assert_eq!(nearest_key("colour", KNOWN), None);
    }
}
