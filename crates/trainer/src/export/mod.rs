//! Prompts to ship: the vectors alone, in formats of ptune's and of others.

mod card;
mod error;
mod free_rows;
mod model;
mod peft;
mod prompt_file;
mod usage;

pub use card::{Card, Form, Judged, JudgedCounts};
pub use error::ExportError;
pub use free_rows::{FreeRow, free_rows};
pub use model::{WordedModel, export_worded};
pub(crate) use peft::lstm_names;
pub use peft::{PeftExport, PeftType, export_peft};
pub use prompt_file::{PromptFile, export_safetensors};
