//! What is searched, and for how long. Kept in the run folder, so that a search goes on as it began.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The file of the run folder.
pub(crate) const FILE: &str = "search.json";

/// A search beside its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchOptions {
    /// How candidates are found.
    pub method: Method,
    /// Examples of dev that judge a candidate, drawn by the seed; all if `None`.
    pub examples: Option<usize>,
    /// When to stop.
    pub limits: Limits,
}

/// When to stop a search that has not ended by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// After so many evaluations: a template on dev or on a batch, or a training of one trial.
    pub budget: Option<usize>,
    /// After so many seconds of evaluations.
    pub seconds: Option<f64>,
}

/// How candidates are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// From a corpus.
    Mine(MineOptions),
    /// From a list of phrases.
    Paraphrase(ParaphraseOptions),
    /// From gradients.
    Gradient(GradientOptions),
    /// From edits.
    Edit(EditOptions),
    /// From layouts of virtual tokens.
    Prompts(PromptsOptions),
}

impl Method {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mine(_) => "mine",
            Self::Paraphrase(_) => "paraphrase",
            Self::Gradient(_) => "gradient",
            Self::Edit(_) => "edit",
            Self::Prompts(_) => "prompts",
        }
    }
}

/// Mining.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MineOptions {
    /// One passage a line, plain or gzipped.
    pub corpus: PathBuf,
    /// Templates that are scored, the most frequent ones.
    pub keep: usize,
    /// Most words between subject and object.
    pub between: usize,
    /// Most words taken from around them on either side.
    pub around: usize,
}

/// Paraphrasing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParaphraseOptions {
    /// The list of phrases.
    pub phrases: PathBuf,
    /// Most phrases replaced at a time, 1 or 2.
    pub replacements: usize,
}

/// AutoPrompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GradientOptions {
    /// Where the triggers stand: a template with virtual tokens; that of the settings if `None`.
    pub layout: Option<String>,
    /// Swaps tried.
    pub steps: usize,
    /// Words tried for a swap.
    pub top: usize,
    /// Examples of train whose loss is compared.
    pub batch: usize,
}

/// Editing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EditOptions {
    /// Prompts that are edited on, 1 for the greedy search.
    pub beam: usize,
    /// Rounds.
    pub rounds: usize,
    /// Edits tried of each prompt in a round, drawn by the seed.
    pub edits: usize,
    /// Words to insert and to replace by, one a line; the model's own likely words if `None`.
    pub words: Option<PathBuf>,
    /// How many of the model's likely words are considered at each place.
    pub likely: usize,
}

/// P-tuning's own choices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptsOptions {
    /// Anchors; what the manual prompt has to offer if empty.
    pub anchors: Vec<String>,
    /// Numbers of virtual tokens in one place.
    pub tokens: Vec<usize>,
    /// Layouts that begin, drawn by the seed.
    pub candidates: usize,
    /// Epochs of the first rung; each rung after it doubles them.
    pub epochs: usize,
    /// Seeds that each layout is trained with, from the settings' on.
    pub seeds: usize,
}
