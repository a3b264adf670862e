//! Each example of a split by itself: what was said, and where the right answer stood.
//!
//! `examples-SPLIT.jsonl` of a run folder holds them, one a line; [`crate::compare`] reads them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ptuning_core::language_model::Tokenize;
use ptuning_core::template::Fields;
use ptuning_core::verbalizer::Verbalizer;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::outcome::Outcome;
use crate::settings::Split;
use crate::task::{Item, Task};

/// An example, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Where it stands in its split, from 0.
    pub index: usize,
    /// Its input.
    pub input: Fields,
    /// Its answer, as the data have it.
    pub answer: String,
    /// The trained prompt; `None` where only the manual template was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Verdict>,
    /// The manual template; `None` where there is none, or where it cannot ask for this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual: Option<Verdict>,
    /// Rank, from 1, of the answer among train's by how often they occur.
    pub majority_rank: usize,
}

/// What one template makes of an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What scores highest: a word or a label.
    pub says: String,
    /// Rank of the right answer, from 1.
    pub rank: usize,
    /// The same without the input's other right answers, where some input has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtered_rank: Option<usize>,
    /// Cross-entropy, in nats.
    pub loss: f32,
}

/// Verdicts by the indices of their examples.
pub(crate) type Verdicts = HashMap<usize, Verdict>;

/// Verdicts of an outcome, by the indices of their examples.
pub(crate) fn verdicts(
    task: &Task,
    items: &[Item],
    outcome: &Outcome,
    verbalizer: &Verbalizer,
) -> Verdicts {
    let says = |best: u32| match verbalizer {
        Verbalizer::Words(_) => task.backbone.tokenizer.decode(&[best]).trim().to_owned(),
        Verbalizer::Labels(labels) => labels.labels()[best as usize].name.clone(),
    };
    let verdict = |(place, item): (usize, &Item)| {
        let verdict = Verdict {
            says: says(outcome.best[place]),
            rank: outcome.ranks[place] + 1,
            filtered_rank: outcome.filtered.as_ref().map(|ranks| ranks[place] + 1),
            loss: outcome.losses[place],
        };
        (item.index, verdict)
    };
    items.iter().enumerate().map(verdict).collect()
}

/// Puts together what a prompt and a manual template say of the examples that are judged.
pub(crate) fn examples(
    task: &Task,
    split: Split,
    items: &[Item],
    majority_ranks: &[usize],
    prompt: Option<Verdicts>,
    manual: Option<Verdicts>,
) -> Vec<Judged> {
    let read = task.data.split(split).unwrap_or_default();
    let of = |verdicts: &Option<Verdicts>, item: &Item| -> Option<Verdict> {
        verdicts.as_ref()?.get(&item.index).cloned()
    };
    let example = |(item, majority): (&Item, &usize)| Judged {
        index: item.index,
        input: read[item.index].fields.clone(),
        answer: read[item.index].answer.clone(),
        prompt: of(&prompt, item),
        manual: of(&manual, item),
        majority_rank: *majority + 1,
    };
    items.iter().zip(majority_ranks).map(example).collect()
}

/// Name of the file of a split in a run folder.
pub(crate) fn file_name(split: Split) -> String {
    format!("examples-{}.jsonl", split.name())
}

/// The text of such a file.
pub(crate) fn to_lines(examples: &[Judged]) -> serde_json::Result<String> {
    examples.iter().map(|example| Ok(serde_json::to_string(example)? + "\n")).collect()
}

/// Reads such a file.
///
/// # Errors
/// A file that cannot be read, or a line that is something else.
pub fn read(path: &Path) -> Result<Vec<Judged>, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|source| Error::Json {
            path: PathBuf::from(format!("{}:{}", path.display(), number + 1)),
            source,
        })
    };
    text.lines().enumerate().map(line).collect()
}
