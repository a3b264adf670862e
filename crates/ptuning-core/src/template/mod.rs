//! The template language: where the input, the answer and the virtual tokens stand.
//!
//! ```text
//! "The capital of [x] is [z]"                       discrete, cloze or prefix
//! "[h:3] capital [x] [h:3] [z]"                     P-tuning: anchors and virtual tokens
//! "[x:premise] ? [h:2] [z] , [x:hypothesis]"        two inputs
//! "[h='the capital of'] [x] [h:2] [z]"              virtual tokens that start from words
//! "[h:3@a] [x] [h:3@a] [z]"                         tied virtual tokens
//! "[x:text|head] It was [z]"                        long inputs keep their head (or `|tail`)
//! "[prefix:16] [x] It was [z]"                      keys and values of every layer (prefix tuning)
//! ```
//!
//! `\[`, `\]` and `\\` are literal. A [`Template`] is text, parsed; binding it to a tokenizer gives
//! a [`BoundTemplate`], which encodes examples and knows the position of every virtual token,
//! anchor and answer from the encoding itself: nothing later scans ids for a mask.

mod bind;
mod encode;
mod encoded;
mod error;
mod parse;
mod segments;
mod spell;

pub use bind::VirtualToken;
pub use encode::{BoundTemplate, Fields};
pub use encoded::{Encoded, Part, Row, Shortened, Slot, Stretch, TextSpan};
pub use error::{BindError, EncodeError, TemplateError, TemplateErrorKind};
pub use segments::{Count, Segment, SegmentKind, Shorten, Template};
