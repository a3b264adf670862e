//! What can go wrong in a run, each case with its cause kept.

use std::path::PathBuf;

use ptuning_core::answers::AnswersError;
use ptuning_core::template::{BindError, EncodeError, TemplateError};
use ptuning_core::verbalizer::SeveralTokens;
use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::export::ExportError;
use crate::import::ImportError;
use crate::prompt_error::PromptError;
use crate::settings::{SettingsError, Split};
use crate::verbalize::KnowledgeError;

/// What can go wrong in a run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A data file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The backbone.
    #[error(transparent)]
    Backbone(#[from] backbone::LoadError),
    /// The device.
    #[error(transparent)]
    Device(#[from] backbone::DeviceError),
    /// A checkpoint or an export.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A search.
    #[error(transparent)]
    Search(#[from] crate::search::SearchError),
    /// A suite.
    #[error(transparent)]
    Suite(#[from] crate::suite::SuiteError),
    /// The text of a template.
    #[error("{setting}: {source}")]
    Template {
        /// Where it is set.
        setting: &'static str,
        /// Why.
        #[source]
        source: Box<TemplateError>,
    },
    /// A template that this backbone cannot use.
    #[error("{setting}: {source}")]
    Bind {
        /// Where it is set.
        setting: &'static str,
        /// Why.
        #[source]
        source: BindError,
    },
    /// An example that does not go into the template.
    #[error("{}: {source}", place)]
    Encode {
        /// File and line, or the words given.
        place: String,
        /// Why.
        #[source]
        source: EncodeError,
    },
    /// The template names an input that the data does not map.
    #[error(
        "{setting}: the template needs the input '{field}', but data.inputs has {found}\n\
         hint: write [x:NAME] in the template with a NAME of data.inputs, or add {field} = \"KEY\" there"
    )]
    UnmappedField {
        /// Where the template is set.
        setting: &'static str,
        /// The field.
        field: String,
        /// Fields there are.
        found: String,
    },
    /// A source of words related to labels.
    #[error(transparent)]
    Knowledge(#[from] KnowledgeError),
    /// Templates of an ensemble number answers alike, which tokens of a vocabulary are not.
    #[error(
        "eval.ensemble: expected candidates that are words, found the whole vocabulary (data.candidates)\n\
         hint: data.candidates = \"dataset\", or a list of words"
    )]
    EnsembleOfVocabulary,
    /// No word of the vocabulary speaks for a label.
    #[error(
        "verbalizer.kind = \"automatic\": no word is more probable on the examples of '{label}' than on the \
         others\nhint: raise verbalizer.frequent, give more examples, or list words in verbalizer.labels"
    )]
    NoLabelWords {
        /// The label.
        label: String,
    },
    /// An example's label that the verbalizer does not know.
    #[error("{place}: `{key}`: expected one of the labels {known}, found '{found}'\nhint: {hint}")]
    UnknownLabel {
        /// File and line.
        place: String,
        /// Key of the label.
        key: String,
        /// What is there.
        found: String,
        /// The labels.
        known: String,
        /// A way out.
        hint: String,
    },
    /// No label says that a span is no entity.
    #[error(
        "spans.none: expected one of the labels {known}, found '{none}'\n\
         hint: verbalizer.labels has to hold the label of what is no entity, with words that stand for it"
    )]
    NoNoneLabel {
        /// The label asked for.
        none: String,
        /// The labels.
        known: String,
    },
    /// A template that does not say which span it asks about.
    #[error(
        "{setting}: expected a template that asks about a span, found none of [x:span]\n\
         hint: such as \"[x] [x:span] is a [z] entity\""
    )]
    NoSpanInput {
        /// Where it is set.
        setting: &'static str,
    },
    /// A label word of several tokens.
    #[error(
        "verbalizer.labels: {0}\nhint: a label word has to be one token of the backbone's tokenizer, such as a \
         frequent word"
    )]
    LabelWord(#[from] SeveralTokens),
    /// Answers that cannot be scored or written whole.
    #[error("{place}: {source}")]
    Answers {
        /// The setting or the argument that asks for them.
        place: &'static str,
        /// Why.
        #[source]
        source: AnswersError,
    },
    /// A template that learns nothing was to be trained.
    #[error(
        "template.text: the strategy 'fixed-lm' learns virtual tokens, but the template has none\n\
         hint: add some, as in \"[h:3] capital [x] [h:3] [z]\"; `ptune eval --config` scores a template without training"
    )]
    NothingToLearn,
    /// Nothing learns, and yet it was to be trained.
    #[error(
        "train.strategy: 'tuning-free' learns nothing\n\
         hint: `ptune eval --config` judges a template without training"
    )]
    TuningFree,
    /// A strategy that leaves the prompt as it is, with a prompt that nothing has learned.
    #[error(
        "template.text: the strategy 'fixed-prompt' leaves the prompt as it is, but the template has virtual tokens\n\
         hint: write plain words, as in \"The capital of [x] is [z]\", or let both learn: prompt-and-lm"
    )]
    FixedVirtualTokens,
    /// More layers than the language model has.
    #[error("lm.layers: the language model has {expected} layers, found {found}")]
    NoSuchLayers {
        /// Layers there are.
        expected: usize,
        /// Layers asked for.
        found: usize,
    },
    /// A language model without biases.
    #[error(
        "lm.parts: no bias in these layers of a {family} model\n\
         hint: parts = \"lora\" learns as little"
    )]
    NoBiases {
        /// Its family.
        family: String,
    },
    /// A projection that no layer has.
    #[error(
        "lm.modules: no projection is called '{name}'; there are {known}{}",
        nearest.as_ref().map(|near| format!("\nhint: did you mean '{near}'?")).unwrap_or_default()
    )]
    NoSuchModule {
        /// Its name.
        name: String,
        /// The nearest name.
        nearest: Option<String>,
        /// All names.
        known: String,
    },
    /// A prompt whose language model has learned too.
    #[error(
        "the run has trained its language model as well, which an export of the prompt does not hold\n\
         hint: `ptune predict RUN` uses both"
    )]
    LmLearned,
    /// A template with virtual tokens was to be scored without a prompt.
    #[error(
        "{setting}: a template that is scored without training cannot have virtual tokens\n\
         hint: write plain words, as in \"The capital of [x] is [z]\""
    )]
    UntrainedVirtualTokens {
        /// Where the template is set.
        setting: &'static str,
    },
    /// No example of a split can be used.
    #[error(
        "{}: the {split} split has no usable example: of {total}, {several_tokens} have an answer of several tokens \
         and {not_candidate} an answer that is not a candidate\n\
         hint: {}",
        file.display(),
        if not_candidate > &0 {
            "`data.candidates = \"dataset\"` takes the data's own answers as candidates"
        } else {
            "an answer has to be one token of the backbone's tokenizer, such as a frequent word"
        }
    )]
    NoExamples {
        /// Its file.
        file: PathBuf,
        /// Which one.
        split: Split,
        /// Examples read.
        total: usize,
        /// Dropped for length.
        several_tokens: usize,
        /// Dropped for not being a candidate.
        not_candidate: usize,
    },
    /// A split that the data does not have.
    #[error(
        "the data has no {0} split\nhint: add {0} = \"FILE\" to [data], or leave {0} out of eval.splits"
    )]
    NoSplit(Split),
    /// A prompt that cannot be.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// An odd width for the LSTM.
    #[error("prompt_encoder.hidden: the two directions of the LSTM need an even width, found {0}")]
    OddWidth(usize),
    /// Start words without tokens.
    #[error("prompt_encoder.words: '{0}' gives no token with this backbone's tokenizer")]
    NoStartWords(String),
    /// A text with too few passages.
    #[error(
        "{}: {found} passages of two tokens or more, and text.dev holds out {dev} of them\n\
         hint: a longer text, or a smaller text.dev",
        file.display()
    )]
    ShortText {
        /// Its file.
        file: PathBuf,
        /// Passages in it.
        found: usize,
        /// Passages to hold out.
        dev: usize,
    },
    /// A masked language model whose tokenizer names no mask.
    #[error(
        "the backbone's tokenizer has no mask token, so no word can be masked\nhint: tokenizer_config.json names it as mask_token"
    )]
    NoMask,
    /// A tokenizer that cannot be written.
    #[error("{}: the tokenizer cannot be written", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<backbone::tokenizer::TokenizerError>,
    },
    /// The loss is not a number.
    #[error("the loss at step {step} (epoch {epoch}) is {loss}: {cause}\nhint: {hint}")]
    NotFinite {
        /// Optimiser step, from 1.
        step: usize,
        /// Epoch, from 1.
        epoch: usize,
        /// NaN or infinity.
        loss: f64,
        /// Where it came from.
        cause: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// The run folder is there already.
    #[error(
        "{}: a run of this name is there already; it is not overwritten\n\
         hint: `ptune resume {0}` goes on with it, --name NAME trains beside it, --force replaces it",
        folder.display()
    )]
    RunExists {
        /// The folder.
        folder: PathBuf,
    },
    /// Something that is no run stands where the run folder is to be.
    #[error(
        "{}: is there already and is not a run; it is not replaced\n\
         hint: --name NAME trains beside it",
        folder.display()
    )]
    NotReplaced {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder that is no run.
    #[error("{}: not a run folder: {missing} is missing{hint}", folder.display())]
    NotARun {
        /// The folder.
        folder: PathBuf,
        /// The file that would make it one.
        missing: &'static str,
        /// Runs there are, as a hint line.
        hint: String,
    },
    /// A run of several tasks that does not name them.
    #[error(
        "{}: expected tasks = [names], found {found}\n\
         hint: `ptune train --force` with the tasks' configs starts the run again",
        file.display()
    )]
    NoTasks {
        /// Its config.
        file: PathBuf,
        /// What is there.
        found: String,
    },
    /// Reading or writing in a run folder.
    #[error("{}: cannot be {what}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// read, written, created, removed
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A JSON file of a run folder.
    #[error("{}: not the JSON that ptune writes", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Resolved settings that TOML cannot hold.
    #[error("the resolved config cannot be written as TOML")]
    Toml(#[from] toml::ser::Error),
    /// A prompt that an export format cannot hold.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A prompt of another program.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// What was written does not read back as it should.
    #[error("{}: reading the export back gives other vectors than the prompt encoder (largest difference {difference})", path.display())]
    ExportDiffers {
        /// The file.
        path: PathBuf,
        /// Largest absolute difference.
        difference: f32,
    },
    /// A file that would be overwritten.
    #[error("{}: is there already\nhint: --force replaces it", path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    pub(crate) fn answers(place: &'static str) -> impl Fn(AnswersError) -> Self {
        move |source| Self::Answers { place, source }
    }

    pub(crate) fn io(
        path: &std::path::Path,
        what: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, what, source }
    }
}
