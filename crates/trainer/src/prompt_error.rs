//! What can be wrong with a prompt that is to be trained: prefixes, and tasks that learn together.

use thiserror::Error;

/// A prompt that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PromptError {
    /// A prefix in front of a language model that takes none.
    #[error(
        "{setting}: this language model is an encoder with a decoder, which takes no [prefix:…]\n\
         hint: virtual tokens work, as in \"[h:8] [x] [z]\""
    )]
    NoPrefix {
        /// Where the template stands.
        setting: &'static str,
    },
    /// A prefix made by an encoder of virtual tokens.
    #[error(
        "prompt_encoder.kind: [prefix:…] is learned as it is (\"direct\") or through an MLP (\"mlp\"), \
         found \"lstm\""
    )]
    PrefixKind,
    /// Words for a prefix that is learned as it is.
    #[error(
        "prompt_encoder.init: a [prefix:…] of kind \"direct\" is keys and values, which no word has in the \
         vocabulary; expected \"normal\"\n\
         hint: kind = \"mlp\" starts from words"
    )]
    PrefixInit,
    /// A prefix of a masked language model in PEFT's format.
    #[error(
        "PEFT's prefix tuning knows no masked language models\n\
         hint: `--format safetensors` writes it for ptune"
    )]
    MaskedPrefix,
    /// A prefix where words are asked for.
    #[error("{what}: a [prefix:…] is keys and values of every layer, which no words stand for")]
    PrefixWithoutWords {
        /// What asks.
        what: &'static str,
    },
    /// A task that cannot learn together with others.
    #[error(
        "{name}: tasks that learn together are trained with the strategy 'fixed-lm' on virtual tokens; this one has \
         {what}\n\
         hint: `ptune train` with its config alone"
    )]
    NotTogether {
        /// Its name.
        name: String,
        /// What it has.
        what: &'static str,
    },
    /// Virtual tokens that two tasks share by name and count differently.
    #[error(
        "template.text: virtual tokens tied as '@{tie}' are shared by the tasks {first} and {second}, and must be \
         equally many: {expected} and {found}\n\
         hint: another name makes them {second}'s own"
    )]
    SharedTie {
        /// Name of the tie.
        tie: String,
        /// The task that has it first.
        first: String,
        /// The other task.
        second: String,
        /// How many there.
        expected: usize,
        /// How many here.
        found: usize,
    },
}
