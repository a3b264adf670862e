//! What can be wrong with a search.

use std::path::PathBuf;

/// A search that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// There is no manual prompt to start from and to compare with.
    #[error(
        "eval.manual: expected a manual prompt to start from and to compare with, found none\n\
         hint: --set 'eval.manual=\"The capital of [x] is [z]\"'"
    )]
    NoManual,
    /// Entities are not judged one example at a time.
    #[error(
        "[spans]: expected a task whose examples are judged one by one, found sentences with entities\n\
         hint: `ptune eval --config` judges a template on them; try wordings with --set template.text"
    )]
    Spans,
    /// A line of a list of phrases that is none.
    #[error("{}:{line}: expected a phrase and its alternatives with tabs between them, found {found:?}\nhint: for example: is located in<TAB>lies in<TAB>is in", file.display())]
    NotPhrases {
        /// The list.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is there.
        found: String,
    },
    /// A phrase that does not read as part of a template.
    #[error("{}:{line}: {source}", file.display())]
    Phrase {
        /// The list.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Why.
        source: Box<ptuning_core::template::TemplateError>,
    },
    /// No phrase of the list stands in the manual prompt.
    #[error(
        "{}: expected a phrase of \"{manual}\", found none among {phrases}\nhint: add a line with a phrase of the prompt and its alternatives",
        file.display()
    )]
    NoPhrase {
        /// The list.
        file: PathBuf,
        /// The manual prompt.
        manual: String,
        /// Phrases there are.
        phrases: usize,
    },
    /// Nothing to mine with.
    #[error(
        "data.inputs: mining looks for pairs of one input and its answer, found {found} inputs\n\
         hint: `ptune search edit` takes templates with several inputs"
    )]
    SeveralInputs {
        /// How many.
        found: usize,
    },
    /// A corpus that mentions no pair.
    #[error(
        "{}: expected passages that hold a subject of train and its answer{}, found none in {passages}\n\
         hint: a corpus of the same language and subject, one passage a line",
        file.display(),
        if *causal { " after it" } else { "" }
    )]
    NothingMined {
        /// The corpus.
        file: PathBuf,
        /// Its passages.
        passages: usize,
        /// Whether the answer has to come last.
        causal: bool,
    },
    /// Strings that cannot be looked for together.
    #[error("the pairs of train cannot be looked for")]
    Patterns(#[from] aho_corasick::BuildError),
    /// A layout without a place for what is searched.
    #[error(
        "{setting}: expected a template with virtual tokens, whose places are searched, found \"{found}\"\n\
         hint: \"[h:3] capital [x] [h:3] [z]\""
    )]
    NoTriggers {
        /// Where the layout is from.
        setting: &'static str,
        /// What it is.
        found: String,
    },
    /// No word that may stand for a trigger.
    #[error(
        "the backbone's vocabulary has no words that may be triggers: none decodes to a word that encodes to itself"
    )]
    NoWords,
    /// An anchor that is not part of a template.
    #[error(
        "--anchor {anchor:?}: expected words, found {found}\nhint: write words such as --anchor capital; [x], [h] and [z] are put around them"
    )]
    NotAnAnchor {
        /// What was given.
        anchor: String,
        /// What is wrong with it.
        found: &'static str,
    },
    /// A template that asks about fewer of the examples than the manual prompt.
    #[error(
        "the template: expected all {expected} examples of the manual prompt, found {found} whose answer is one token here"
    )]
    OtherExamples {
        /// Examples of the manual prompt.
        expected: usize,
        /// Those of them that it can be asked about.
        found: usize,
    },
    /// A layout whose virtual tokens cannot be written as words.
    #[error(
        "{setting}: words in the places of the virtual tokens of \"{layout}\" do not stay what they are when they are read again\n\
         hint: spaces around each [h] keep words apart"
    )]
    NotSpelled {
        /// Where the layout is from.
        setting: &'static str,
        /// What it is.
        layout: String,
    },
    /// A line of a list of prompts that is no template.
    #[error("{}:{line}: {source}", file.display())]
    Prompt {
        /// The list.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Why.
        source: Box<ptuning_core::template::TemplateError>,
    },
    /// A list without a prompt that can be scored.
    #[error(
        "{}: expected templates that ask about every example of the manual prompt, found none among {found}; line {line}: {why}\n\
         hint: a causal model's answer [z] comes last, with a space in front as the manual prompt has it",
        file.display()
    )]
    NoPrompts {
        /// The list.
        file: PathBuf,
        /// Templates in it.
        found: usize,
        /// Line of the first, from 1.
        line: usize,
        /// Why it cannot be scored.
        why: String,
    },
    /// A folder whose run is no search.
    #[error("{}: expected a search, found a run without its options", folder.display())]
    NotASearch {
        /// The run folder.
        folder: PathBuf,
    },
}
