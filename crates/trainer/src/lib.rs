//! Training, judging, explaining and shipping prompts.
//!
//! The way of a run: [`settings`] are read, a [`task::Task`] puts [`data`] into templates on a
//! backbone, [`train_loop::TrainLoop`] trains into a [`run_dir::RunDir`], [`evaluate`] judges,
//! [`inspect`] explains and [`export`] ships; [`mod@search`] finds prompts without training, [`mod@sensitivity`]
//! compares them; [`tagging`] finds the entities of sentences. Nothing here prints: a [`progress::Observer`] is told.

pub mod adapt;
pub mod answers;
pub mod batches;
pub mod bench;
pub mod checkpoint;
pub mod compare;
pub mod data;
pub mod ensemble;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod import;
pub mod inspect;
pub mod judged;
mod metric;
pub mod optimizer;
pub mod outcome;
pub mod parameters;
pub mod predict;
pub mod progress;
pub mod prompt;
pub mod prompt_error;
pub mod run_dir;
pub mod run_info;
pub mod runs;
pub mod schedule;
pub mod search;
pub mod sensitivity;
pub mod settings;
pub mod strategy;
pub mod suite;
pub mod tagging;
pub mod task;
pub mod tensorboard;
pub mod train_loop;
pub mod validate;
pub mod verbalize;

pub use burn_train::Interrupter;
pub use error::Error;
