//! Prompts of other programs, turned into ptune's.
//!
//! | from | is |
//! |---|---|
//! | PEFT | a folder with `adapter_config.json`: PROMPT_TUNING, P_TUNING, PREFIX_TUNING, TRAINABLE_TOKENS |
//! | the published P-tuning code (THUDM/P-tuning, LAMA) | a checkpoint of its prompt encoder, `epoch_….ckpt` |
//! | OptiPrompt (princeton-nlp/OptiPrompt) | `prompt_vecs.npy` |
//!
//! None of them says where its vectors stand, so a template has to. Nothing that a file may name is run.

mod error;
mod npy;
mod peft;
mod published;

use std::collections::BTreeSet;
use std::path::Path;

use backbone::Backbone;
use burn::tensor::{Tensor, TensorData};
use ptuning_core::template::BoundTemplate;
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};

pub use error::ImportError;

use crate::error::Error;
use crate::prompt::{Prompt, prefix_width};
use crate::task::bind;

/// What was found.
#[derive(Debug, Clone)]
pub struct Imported {
    /// What it was, in words.
    pub kind: String,
    /// The prompt; any word of the vocabulary may answer.
    pub prompt: Prompt,
    /// Vectors of the file that the template has no place for.
    pub unused: usize,
}

/// Vectors of another program, in the order of the virtual tokens.
struct Vectors {
    kind: String,
    /// `[found, width]`
    numbers: Vec<f32>,
    found: usize,
    /// Whether a file may hold more vectors than are used.
    spare: bool,
    /// Which of them each virtual token is, where the file says so.
    order: Option<Vec<usize>>,
    /// The template, where the file has it.
    template: Option<String>,
}

/// Reads a prompt of another program, for a backbone.
///
/// # Errors
/// A file that is none of those, or that does not fit the template or the backbone.
pub fn import(from: &Path, template: Option<&str>, backbone: &Backbone) -> Result<Imported, Error> {
    let vectors = if from.is_dir() {
        peft::read(from, backbone)?
    } else if from.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy")) {
        npy::read(from)?
    } else {
        published::read(from, backbone)?
    };
    let text = template.or(vectors.template.as_deref());
    let text = text.ok_or_else(|| ImportError::NoTemplate { file: from.to_owned() })?;
    let template = bind("--template", text, backbone)?;
    let width = prefix_width(&template, backbone).unwrap_or(backbone.model.hidden_size());
    let Vectors { kind, numbers, found, .. } = &vectors;
    if *found == 0 || numbers.len() != found * width {
        return Err(ImportError::Width {
            file: from.to_owned(),
            kind: kind.clone(),
            expected: width,
            found: numbers.len() / (*found).max(1),
        }
        .into());
    }
    let order = order(&template, &vectors).ok_or_else(|| ImportError::Count {
        file: from.to_owned(),
        kind: kind.clone(),
        expected: template.prompt_len(),
        found: *found,
    })?;
    let rows = numbers.chunks(width).collect::<Vec<_>>();
    let chosen: Vec<f32> = order.iter().flat_map(|&row| rows[row]).copied().collect();
    let data = TensorData::new(chosen, [order.len(), width]);
    let prompt = Prompt {
        vectors: Some(Tensor::from_data(data, &backbone.model.device())),
        template,
        verbalizer: Verbalizer::Words(OpenVocabulary::whole()),
        spans: None,
        lm: None,
    };
    let used: BTreeSet<usize> = order.into_iter().collect();
    Ok(Imported { kind: kind.clone(), prompt, unused: found - used.len() })
}

/// Which vector each virtual token is; `None` where there are not as many as the template needs.
fn order(template: &BoundTemplate, vectors: &Vectors) -> Option<Vec<usize>> {
    let (count, found) = (template.prompt_len(), vectors.found);
    if let Some(order) = &vectors.order {
        return (order.len() == count && order.iter().all(|&row| row < found))
            .then(|| order.clone());
    }
    if count == 0 {
        return None;
    }
    if found == count || vectors.spare && found > count {
        return Some((0..count).collect());
    }
    // A row for each place, tied virtual tokens having several.
    let places = template.prefix_virtual_tokens();
    if places.len() != found {
        return None;
    }
    let place = |token: usize| places.iter().position(|&place| place as usize == token);
    (0..count).map(place).collect()
}
