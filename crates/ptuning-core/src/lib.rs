//! P-tuning: a handful of trainable vectors spliced between fixed anchor words of a frozen
//! language model.
//!
//! ```text
//! discrete    The capital of Britain is [MASK]
//! P-tuning    h_0 … h_i  capital  Britain  h_i+1 … h_m  [MASK]
//! ```
//!
//! # A tour
//! 1. A [`template::Template`] says where input, answer and virtual tokens stand. Bound to a
//!    tokenizer it encodes an example into ids whose every position is known.
//! 2. A [`prompt_encoder::PromptEncoder`] holds what is learned and gives the vectors h_0 … h_m.
//! 3. [`splice`] puts the vectors between the embeddings of the anchors.
//! 4. A [`language_model::LanguageModel`], frozen, turns embeddings into scores of the vocabulary
//!    at the answer; [`prompt_model`] runs these steps in order.
//! 5. A [`verbalizer`] says which words may answer, and [`objective`] gives the loss and the ranks.
//! 6. Where an answer is several tokens, [`answers`] scores it whole, or lets the model write it.
//! 7. Where a sentence has entities, [`spans`] asks about each of its spans.
//!
//! # Shapes
//! One legend everywhere: `batch` examples, `seq` positions, `prompt` virtual tokens, `hidden`
//! embedding width, `heads`, `head_dim`, `layers`, `vocab` entries, `rows` answer positions; `prefix` rows of
//! `prefix_width` numbers, the keys and values of every layer that are learned in front of everything.

pub mod answers;
pub mod ensemble;
pub mod language_model;
pub mod objective;
pub mod prompt_encoder;
pub mod prompt_model;
pub mod spans;
pub mod splice;
pub mod template;
pub mod verbalizer;
