//! `ptune backbones`.

use std::io::Write;
use std::path::Path;

use backbone::registry;
use backbone::source::fetch::hub::{Found, Hub, cached};
use backbone::source::fetch::{CATALOGUE, cache_dir, installed, model_dir};
use backbone::source::model_card::licence;
use serde::Serialize;

use crate::args::{BackbonesArgs, Format};
use crate::exit::Outcome;
use crate::progress::size;
use crate::tables;

const UNKNOWN: &str = "unknown";

/// A backbone, as a line of the list.
#[derive(Debug, Serialize)]
struct Listed {
    /// What to write into a config.
    source: String,
    /// Whether it can be used as it is.
    usable: bool,
    /// The `model_type` of its config.
    family: Option<String>,
    /// Numbers of all weights.
    parameters: Option<usize>,
    /// Rows of the embedding table.
    vocabulary: Option<usize>,
    /// On the disk.
    bytes: u64,
    licence: String,
    /// What is opened, or the folder of what cannot be.
    path: Option<String>,
    /// Why it cannot be used.
    problem: Option<String>,
}

/// Lists the catalogue and the Hugging Face cache.
pub fn run(args: &BackbonesArgs) -> anyhow::Result<Outcome> {
    let cache = cache_dir()?;
    let hub = Hub::from_env()?;
    let mut all: Vec<Listed> = Vec::new();
    for model in CATALOGUE {
        let mut listed = match installed(model, &cache) {
            Some(path) => opened(model.name.to_owned(), &path, &model_dir(model, &cache)),
            None => {
                absent(model.name.to_owned(), format!("not fetched (ptune fetch {})", model.name))
            }
        };
        listed.licence = model.licence.to_owned();
        all.push(listed);
    }
    for model in cached(&hub) {
        all.push(match &model.found {
            Found::Present(path) => opened(model.source, path, &model.folder),
            Found::Absent(lacks) => {
                let problem = format!("{lacks} (ptune fetch {})", model.source);
                let listed = absent(model.source, problem);
                let (licence, bytes) = (licence_of(&model.folder), bytes_in(&model.folder));
                Listed { path: Some(model.folder.display().to_string()), licence, bytes, ..listed }
            }
        });
    }
    match args.format {
        Format::Json => tables::json(&all)?,
        Format::Table => table(&all, &cache, &hub.cache)?,
    }
    Ok(Outcome::Done)
}

/// A backbone whose files are there; its headers tell the rest, or why it cannot be used.
fn opened(source: String, path: &Path, folder: &Path) -> Listed {
    let bytes = if path.is_dir() { bytes_in(path) } else { file_bytes(path) };
    let mut listed = Listed {
        bytes,
        licence: licence_of(folder),
        path: Some(path.display().to_string()),
        ..absent(source, String::new())
    };
    match registry::summary(path) {
        Ok(summary) => {
            listed.family = Some(summary.family);
            listed.parameters = Some(summary.parameters);
            listed.vocabulary = Some(summary.vocabulary);
            listed.usable = true;
            listed.problem = None;
        }
        Err(error) => listed.problem = Some(reason(&anyhow::Error::new(error))),
    }
    listed
}

/// A backbone that cannot be used.
fn absent(source: String, problem: String) -> Listed {
    Listed {
        source,
        usable: false,
        family: None,
        parameters: None,
        vocabulary: None,
        bytes: 0,
        licence: UNKNOWN.to_owned(),
        path: None,
        problem: Some(problem),
    }
}

/// The chain of an error's causes in a line, without hints.
fn reason(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let line = text.lines().next().unwrap_or_default();
        if !told.iter().any(|before| before.contains(line)) {
            told.push(line.to_owned());
        }
    }
    told.join(": ")
}

fn licence_of(folder: &Path) -> String {
    licence(folder).unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Bytes of the files in a folder, links being followed.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| file_bytes(&entry.path())).sum()
}

fn file_bytes(path: &Path) -> u64 {
    path.metadata().map_or(0, |found| if found.is_file() { found.len() } else { 0 })
}

fn table(all: &[Listed], cache: &Path, hub: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let width = all.iter().map(|listed| listed.source.chars().count()).max().unwrap_or(0).max(16);
    writeln!(
        out,
        "{:<width$} {:<14} {:>12} {:>9} {:>8}  licence",
        "backbone", "family", "parameters", "words", "size"
    )?;
    for listed in all {
        if let Some(problem) = &listed.problem {
            writeln!(out, "{:<width$} {problem}", listed.source)?;
            continue;
        }
        writeln!(
            out,
            "{:<width$} {:<14} {:>12} {:>9} {:>8}  {}",
            listed.source,
            listed.family.as_deref().unwrap_or_default(),
            parameters(listed.parameters.unwrap_or_default()),
            listed.vocabulary.unwrap_or_default(),
            size(listed.bytes),
            listed.licence
        )?;
    }
    writeln!(out, "\nlooked in {} and {}", cache.display(), hub.display())
}

fn parameters(count: usize) -> String {
    match count {
        0..1_000_000 => format!("{:.1} thousand", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} million", count as f64 / 1e6),
        _ => format!("{:.1} billion", count as f64 / 1e9),
    }
}
