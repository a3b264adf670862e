//! Label words chosen from the whole vocabulary by the examples of train.

use std::collections::HashSet;

use burn::tensor::Tensor;
use ptuning_core::language_model::Tokenize;
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{BoundTemplate, Encoded};
use ptuning_core::verbalizer::{Evidence, LabelWords, Verbalizer, single_token};

use crate::error::Error;
use crate::settings::{Split, VerbalizerSettings};
use crate::task::Task;

/// The `words` words of each label whose odds its examples raise most, among the `frequent` words that the
/// language model finds most probable on train.
///
/// # Errors
/// Train data that cannot be encoded; a label for which there is no word.
pub fn chosen(
    task: &Task,
    template: &BoundTemplate,
    prompt: Option<&Tensor<2>>,
    settings: &VerbalizerSettings,
    unnamed: LabelWords,
    (words, frequent): (usize, usize),
) -> Result<LabelWords, Error> {
    let names: Vec<String> = unnamed.labels().iter().map(|label| label.name.clone()).collect();
    let (items, _) = task.encode(Split::Train, template, &Verbalizer::Labels(unnamed))?;
    let lm = task.backbone.model.as_ref();
    let mut evidence = Evidence::new(names.len(), lm.vocab_size(), &lm.device());
    for batch in items.chunks(task.settings.eval.batch_size) {
        let encoded: Vec<&Encoded> = batch.iter().map(|item| &item.encoded).collect();
        let labels: Vec<u32> = batch.iter().map(|item| item.answer).collect();
        evidence.add(answer_logits(lm, prompt, &encoded), &labels);
    }
    let candidates = frequent_words(task, template, &evidence.frequencies(), frequent);
    let ratios = evidence.ratios();
    // A word stands for the label that it speaks for most.
    let best = |id: u32| {
        let of = |label: &usize| ratios[*label][id as usize];
        let label = (0..names.len()).max_by(|a, b| of(a).total_cmp(&of(b))).unwrap_or(0);
        (label, of(&label))
    };
    let mut found: Vec<Vec<(f32, &str)>> = vec![Vec::new(); names.len()];
    for (id, word) in &candidates {
        let (label, ratio) = best(*id);
        if ratio > 0.0 {
            found[label].push((ratio, word));
        }
    }
    let label = |(name, mut found): (String, Vec<(f32, &str)>)| {
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let found: Vec<(String, f32)> =
            found.into_iter().take(words).map(|(_, word)| (word.to_owned(), 1.0)).collect();
        match found.is_empty() {
            true => Err(Error::NoLabelWords { label: name }),
            false => Ok((name, found)),
        }
    };
    let labels = names.into_iter().zip(found).map(label).collect::<Result<Vec<_>, Error>>()?;
    let tokenizer = &task.backbone.tokenizer;
    Ok(LabelWords::bind(&labels, settings.aggregate, template, tokenizer)?)
}

/// Whole words of letters by how probable they are, most probable first.
fn frequent_words(
    task: &Task,
    template: &BoundTemplate,
    frequencies: &[f32],
    count: usize,
) -> Vec<(u32, String)> {
    let tokenizer = &task.backbone.tokenizer;
    let mut ids: Vec<u32> = (0..frequencies.len() as u32).collect();
    ids.sort_by(|&a, &b| {
        frequencies[b as usize].total_cmp(&frequencies[a as usize]).then(a.cmp(&b))
    });
    let mut seen = HashSet::new();
    let word = |id: u32| {
        let word = tokenizer.decode(&[id]).trim().to_owned();
        let letters = word.chars().count() > 1 && word.chars().all(char::is_alphabetic);
        let whole = letters && single_token(&word, template, tokenizer) == Some(id);
        (whole && seen.insert(word.to_lowercase())).then_some((id, word))
    };
    ids.into_iter().filter_map(word).take(count).collect()
}
