//! What a run does and how it came about: `run.json`.

use std::time::{SystemTime, UNIX_EPOCH};

use backbone::source::Identity;
use serde::{Deserialize, Serialize};

/// What a run does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Job {
    /// Trains a prompt.
    #[default]
    Train,
    /// Trains the prompts of several tasks together.
    Together,
    /// Trains a language model on a text.
    Adapt,
    /// Searches for a prompt.
    Search,
}

/// How a run came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// What it does.
    #[serde(default)]
    pub job: Job,
    /// The exact command line.
    pub command: Vec<String>,
    /// Version of ptune.
    pub version: String,
    /// The device it ran on.
    pub device: String,
    /// Seed.
    pub seed: u64,
    /// The backbone.
    pub backbone: Identity,
    /// Seconds since 1970 at the start.
    pub started_unix: u64,
}

impl RunInfo {
    /// A run that this process begins now.
    pub fn now(job: Job, device: &str, seed: u64, backbone: &Identity) -> Self {
        Self {
            job,
            command: std::env::args().collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: device.to_owned(),
            seed,
            backbone: backbone.clone(),
            started_unix: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs()),
        }
    }
}
