//! Settings as run: every value present and checked. `configs/lama.toml` documents each key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ptuning_core::answers::MaskedScoring;
use ptuning_core::ensemble::Combine;
use serde::{Deserialize, Serialize};

/// `[backbone]`: the frozen language model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackboneSettings {
    /// A name that `ptune fetch` knows, `hf:org/model`, a Hugging Face folder, or a `.gguf` file.
    pub source: String,
    /// Packed weights and fused operations where the device has them.
    pub fused: bool,
    /// Compute what stands in front of every example of a batch once.
    pub share_prefix: bool,
    /// Run only the rows that answer through the last layer's feed-forward network.
    pub answer_rows: bool,
    /// What a forward pass keeps for its backward pass.
    pub memory: MemoryMode,
    /// In what numbers weights are held and multiplied.
    pub dtype: Dtype,
    /// To how few bits matrices are rounded while they are loaded.
    pub rounding: Rounding,
    /// Random weights of the same shapes in the place of the file's.
    pub random_weights: bool,
}

/// To how few bits matrices are rounded while they are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// They stay what their file says.
    None,
    /// Eight bits, as GGUF's Q8_0.
    Q8,
    /// Four bits, as GGUF's Q4_1.
    Q4,
}

/// In what numbers weights are held and multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision.
    F32,
    /// bfloat16.
    Bf16,
    /// Half precision.
    F16,
}

/// What a forward pass keeps for its backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryMode {
    /// Everything the gradient needs.
    Tape,
    /// Each layer's input; the rest is computed once more.
    Recompute,
}

/// One of the three parts of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the prompt learns from.
    Train,
    /// What chooses the epoch to keep.
    Dev,
    /// What is reported.
    Test,
}

impl Split {
    /// All splits, in their usual order.
    pub const ALL: [Split; 3] = [Split::Train, Split::Dev, Split::Test];

    /// The name in configs, file names and reports.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Dev => "dev",
            Split::Test => "test",
        }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A place that candidate answers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CandidateSource {
    /// The answers of all splits of the data set.
    Dataset,
    /// Every token of the backbone's vocabulary.
    Vocabulary,
    /// A text file with one word per line.
    File(PathBuf),
}

impl Serialize for CandidateSource {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            CandidateSource::Dataset => serializer.serialize_str("dataset"),
            CandidateSource::Vocabulary => serializer.serialize_str("vocabulary"),
            CandidateSource::File(path) => path.serialize(serializer),
        }
    }
}

/// `[data]`: examples and candidate answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataSettings {
    /// File of the train split.
    pub train: PathBuf,
    /// File of the dev split.
    pub dev: PathBuf,
    /// File of the test split, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Key of a row that holds the answer.
    pub answer: String,
    /// Where candidate answers come from, taken together; never empty.
    pub candidates: Vec<CandidateSource>,
    /// Use only so many examples of each split, the first ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Use only so many train and dev examples of each label, drawn by the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shots: Option<usize>,
    /// Field of the template → key of a row that holds its text; never empty.
    pub inputs: BTreeMap<String, String>,
}

impl DataSettings {
    /// File of a split, if there is one.
    pub fn file(&self, split: Split) -> Option<&std::path::Path> {
        match split {
            Split::Train => Some(&self.train),
            Split::Dev => Some(&self.dev),
            Split::Test => self.test.as_deref(),
        }
    }
}

/// `[template]`: where anchors, virtual tokens, input and answer stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TemplateSettings {
    /// The template's text, unparsed.
    pub text: String,
}

/// Kind of prompt encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PromptEncoderKind {
    /// Embedding → 2-layer bidirectional LSTM → Linear-ReLU-Linear (Liu et al., 2021).
    Lstm {
        /// Width of the encoder; the backbone's hidden size if `None`. Even.
        #[serde(skip_serializing_if = "Option::is_none")]
        hidden: Option<usize>,
    },
    /// Embedding → Linear-ReLU-Linear.
    Mlp {
        /// Width of the encoder; the backbone's hidden size if `None`.
        #[serde(skip_serializing_if = "Option::is_none")]
        hidden: Option<usize>,
    },
    /// The vectors themselves, without an encoder (Lester et al., 2021).
    Direct,
}

/// What the trainable embeddings start from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "init", rename_all = "lowercase")]
pub enum PromptInit {
    /// Independent normal numbers of mean 0.
    Normal {
        /// Standard deviation, above 0.
        std: f64,
    },
    /// Embeddings of tokens sampled from the vocabulary.
    Vocabulary,
    /// Embeddings of the tokens of given words, repeated as needed.
    Words {
        /// The words.
        words: String,
    },
}

/// `[prompt_encoder]`: what makes the vectors of the virtual tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptEncoderSettings {
    /// Kind and width.
    #[serde(flatten)]
    pub kind: PromptEncoderKind,
    /// Start.
    #[serde(flatten)]
    pub init: PromptInit,
}

/// What learns: the survey's names (Liu et al., 2023).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Nothing learns.
    TuningFree,
    /// The prompt learns, the language model is frozen.
    FixedLm,
    /// The language model learns, the prompt is words.
    FixedPrompt,
    /// Both learn.
    PromptAndLm,
}

impl Strategy {
    /// All strategies by name.
    pub const ALL: [(&'static str, Strategy); 4] = [
        ("tuning-free", Strategy::TuningFree),
        ("fixed-lm", Strategy::FixedLm),
        ("fixed-prompt", Strategy::FixedPrompt),
        ("prompt-and-lm", Strategy::PromptAndLm),
    ];

    /// The name in configs.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, strategy)| *strategy == self).map_or("", |(name, _)| name)
    }

    /// Whether the language model learns.
    pub fn trains_lm(self) -> bool {
        matches!(self, Self::FixedPrompt | Self::PromptAndLm)
    }

    /// Whether virtual tokens learn.
    pub fn trains_prompt(self) -> bool {
        matches!(self, Self::FixedLm | Self::PromptAndLm)
    }
}

/// Optimiser, with PyTorch's semantics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Adam; weight decay is added to the gradient.
    Adam,
    /// AdamW; weight decay shrinks the weights, apart from the gradient.
    AdamW,
}

/// Learning rate over time, after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "schedule", rename_all = "lowercase")]
pub enum Schedule {
    /// `lr` throughout.
    Constant,
    /// Down to 0 at the last step, in a straight line.
    Linear,
    /// Multiplied by `gamma` after each epoch.
    Exponential {
        /// Factor per epoch, in (0, 1].
        gamma: f64,
    },
    /// Down to 0 at the last step, along half a cosine.
    Cosine,
}

/// `[train]`: optimisation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainSettings {
    /// What learns, where it is a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Optimiser.
    pub optimizer: Optimizer,
    /// Peak learning rate, above 0.
    pub lr: f64,
    /// Decay of the running averages of gradient and squared gradient, each in [0, 1).
    pub betas: (f64, f64),
    /// Added to the root of the squared gradient's average, above 0.
    pub eps: f64,
    /// Weight decay, at least 0.
    pub weight_decay: f64,
    /// Learning rate over time.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Optimiser steps in which the learning rate rises from 0 to `lr`.
    pub warmup_steps: usize,
    /// Passes over the train split, at least 1.
    pub epochs: usize,
    /// Examples per batch, at least 1.
    pub batch_size: usize,
    /// Batches per optimiser step, at least 1.
    pub accumulation: usize,
    /// Greatest norm of the whole gradient; no clipping if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Stop after so many epochs without a better dev P@1; never if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Whether each epoch has its own order of examples.
    pub shuffle: bool,
    /// Whether a batch gathers examples of similar length.
    pub bucket: bool,
    /// Optimiser steps between two checkpoints within an epoch; none there if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_every: Option<usize>,
}

/// The defaults of the config.
impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            strategy: Some(Strategy::FixedLm),
            optimizer: Optimizer::Adam,
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            schedule: Schedule::Constant,
            warmup_steps: 0,
            epochs: 8,
            batch_size: 8,
            accumulation: 1,
            clip_norm: None,
            patience: None,
            shuffle: true,
            bucket: true,
            save_every: None,
        }
    }
}

/// `[eval]`: how the prompt is judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvalSettings {
    /// Splits judged at the end of training, without repeats.
    pub splits: Vec<Split>,
    /// A template without virtual tokens to compare with, unparsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual: Option<String>,
    /// Templates without virtual tokens that are asked together, unparsed; none or at least two.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ensemble: Vec<String>,
    /// How what they say becomes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combine: Option<Combine>,
    /// How many answers a prediction lists; at least 1.
    pub top_k: usize,
    /// Examples per batch, at least 1.
    pub batch_size: usize,
    /// Which answers count.
    #[serde(flatten)]
    pub answers: EvalAnswers,
}

/// Which answers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "answers", rename_all = "kebab-case")]
pub enum EvalAnswers {
    /// Those of one token, as the published protocol has it.
    SingleToken,
    /// Those of one token and, apart from them, all, each scored whole.
    All {
        /// What a masked model is asked; `None` for what suits the model.
        #[serde(skip_serializing_if = "Option::is_none")]
        scoring: Option<MaskedScoring>,
        /// The mean of log-probabilities over the tokens of an answer, in place of their sum.
        length_normalisation: bool,
    },
}

/// `[log]`: plain progress lines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogSettings {
    /// Optimiser steps between two plain lines, at least 1.
    pub every: usize,
}
