//! Hugging Face's cache: what of a model is in it, and everything that is.
//!
//! ```text
//! <cache>/models--org--model/refs/main                  the commit that main was
//! <cache>/models--org--model/blobs/<etag>               a file, by its hash
//! <cache>/models--org--model/snapshots/<commit>/<file>  a link to its blob
//! ```
//!
//! It is the layout of `huggingface_hub` and transformers, so each finds what the other fetched.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::choice::is_tokenizer;
use super::name::{is_commit, is_gguf};
use super::{Hub, HubError, HubModel};
use crate::source::hf_dir::{self, CONFIG, INDEX, PYTORCH, PYTORCH_INDEX, WEIGHTS};

/// What a model that is not whole in the cache lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lacks {
    /// No commit of the revision was fetched.
    Revision(String),
    /// A file of this name.
    File(String),
    /// Any file that a tokenizer is made from.
    Tokenizer,
    /// Weights, or a part of them.
    Weights,
    /// A choice: there are several GGUF files.
    OneGguf,
}

impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revision(revision) => write!(f, "nothing of revision {revision} is there"),
            Self::File(file) => write!(f, "{file} is missing"),
            Self::Tokenizer => f.write_str("the tokenizer is missing"),
            Self::Weights => f.write_str("the weights, or a part of them, are missing"),
            Self::OneGguf => f.write_str("there are several .gguf files and none is named"),
        }
    }
}

/// Whether a model is in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is, whole: what [`crate::source::open`] takes.
    Present(PathBuf),
    /// It is not.
    Absent(Lacks),
}

/// Looks for a model in the cache; asks no hub.
///
/// # Errors
/// A branch's file that holds no commit, or cannot be read.
pub fn located(model: &HubModel, hub: &Hub) -> Result<Found, HubError> {
    let absent = || Lacks::Revision(model.revision.clone());
    let commit = match model.commit() {
        Some(commit) => commit.to_owned(),
        None => match reference(model, hub)? {
            Some(commit) => commit,
            None => return Ok(Found::Absent(absent())),
        },
    };
    Ok(in_snapshot(model, &hub.snapshot(model, &commit)))
}

/// The commit that a branch or tag was when it was fetched.
fn reference(model: &HubModel, hub: &Hub) -> Result<Option<String>, HubError> {
    let path = hub.reference(model);
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(HubError::read(&path, error)),
    };
    if is_commit(&text) {
        return Ok(Some(text));
    }
    let found: String = text.chars().take(60).collect();
    Err(HubError::Reference { model: model.to_string(), path, found })
}

/// Looks for a model in the folder of a commit.
pub(super) fn in_snapshot(model: &HubModel, folder: &Path) -> Found {
    if !folder.is_dir() {
        return Found::Absent(Lacks::Revision(model.revision.clone()));
    }
    if let Some(file) = &model.file {
        let path = folder.join(file);
        // A link to a blob that is gone is no file.
        return if path.is_file() {
            Found::Present(path)
        } else {
            Found::Absent(Lacks::File(file.clone()))
        };
    }
    match (lacking(folder), gguf_files(folder).as_slice()) {
        (None, _) => Found::Present(folder.to_path_buf()),
        (Some(_), [only]) => Found::Present(folder.join(only)),
        (Some(lacks), []) => Found::Absent(lacks),
        (Some(_), _) => Found::Absent(Lacks::OneGguf),
    }
}

/// What keeps a folder from being a whole Hugging Face folder.
fn lacking(folder: &Path) -> Option<Lacks> {
    let is_there = |file: &str| folder.join(file).is_file();
    let in_shards = |index| {
        is_there(index) && hf_dir::shards(folder, index).is_ok_and(|files| !files.is_empty())
    };
    if !is_there(CONFIG) {
        return Some(Lacks::File(CONFIG.to_owned()));
    }
    if !file_names(folder).iter().any(|name| is_tokenizer(name)) {
        return Some(Lacks::Tokenizer);
    }
    // In the order in which they are opened: what comes first must be whole.
    let whole = is_there(WEIGHTS)
        || if is_there(INDEX) {
            in_shards(INDEX)
        } else {
            is_there(PYTORCH) || in_shards(PYTORCH_INDEX)
        };
    (!whole).then_some(Lacks::Weights)
}

/// A model that lies in the cache, whole or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// What to write into a config: `hf:org/model`, or a path where the repository has no
    /// organisation in its name.
    pub source: String,
    /// The folder of its files, of which a GGUF is one.
    pub folder: PathBuf,
    /// Where it is, or what it lacks.
    pub found: Found,
}

/// Every model of the cache, by name. What cannot be read is left out or told as lacking.
pub fn cached(hub: &Hub) -> Vec<Cached> {
    let mut all = Vec::new();
    for folder in entries(&hub.cache) {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(repository) = name.as_deref().and_then(|name| name.strip_prefix("models--"))
        else {
            continue;
        };
        if folder.is_dir() {
            all.extend(in_repository(&folder, &repository.replace("--", "/")));
        }
    }
    all
}

/// The models of a repository's folder: a revision each, and a GGUF file each.
fn in_repository(folder: &Path, repository: &str) -> Vec<Cached> {
    let mut revisions = Vec::new();
    references(&folder.join("refs"), "", 0, &mut revisions);
    let snapshots = entries(&folder.join("snapshots"));
    for commit in &snapshots {
        let commit = commit.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_commit(&commit) && !revisions.iter().any(|(_, known)| *known == commit) {
            revisions.push((commit.clone(), commit));
        }
    }
    let mut models = Vec::new();
    for (revision, commit) in revisions {
        let snapshot = folder.join("snapshots").join(commit);
        if snapshot.is_dir() {
            let (repository, file) = (repository.to_owned(), None);
            models.extend(in_revision(&HubModel { repository, file, revision }, &snapshot));
        }
    }
    if models.is_empty() {
        models.push(Cached {
            source: format!("hf:{repository}"),
            folder: folder.to_path_buf(),
            found: Found::Absent(Lacks::Weights),
        });
    }
    models
}

/// The models of one revision.
fn in_revision(model: &HubModel, folder: &Path) -> Vec<Cached> {
    let cached = |model: &HubModel| {
        let found = in_snapshot(model, folder);
        let source = match &found {
            // A repository without an organisation has no name here.
            Found::Present(path) if !model.repository.contains('/') => path.display().to_string(),
            _ => model.to_string(),
        };
        Cached { source, folder: folder.to_path_buf(), found }
    };
    let files = gguf_files(folder);
    let mut models = Vec::new();
    if files.is_empty() || lacking(folder).is_none() {
        models.push(cached(model));
    }
    models.extend(
        files.into_iter().map(|file| cached(&HubModel { file: Some(file), ..model.clone() })),
    );
    models
}

/// Branches and tags below a folder, with their commits. A pull request's lie a few folders deep.
fn references(folder: &Path, before: &str, depth: usize, found: &mut Vec<(String, String)>) {
    for path in entries(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && depth < 4 {
            references(&path, &format!("{before}{name}/"), depth + 1, found);
        } else if let Ok(commit) = fs::read_to_string(&path)
            && is_commit(commit.trim())
        {
            found.push((format!("{before}{name}"), commit.trim().to_owned()));
        }
    }
}

fn gguf_files(folder: &Path) -> Vec<String> {
    file_names(folder).into_iter().filter(|name| is_gguf(name)).collect()
}

fn file_names(folder: &Path) -> Vec<String> {
    let files = entries(folder).into_iter().filter(|path| path.is_file());
    files.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}

/// What is in a folder, in the order of the names; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
