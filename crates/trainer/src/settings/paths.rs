//! Where a relative path in the settings is looked for.
//!
//! A path typed in a config file is looked for from the folder of that file, then from each folder
//! above it, then from the current directory. A path typed on the command line is looked for from
//! the current directory first. So `configs/lama.toml` may name `datasets/lama/P36` and be run
//! from anywhere, and so may the copy of it in a run folder below the same project.

use std::path::{Path, PathBuf};

/// The first existing path, relative to the current directory where it lies below it.
///
/// `config` is the file that holds the settings, `from_flag` whether the path was typed on the
/// command line.
///
/// # Errors
///
/// The absolute paths tried, in order.
pub(super) fn find(typed: &str, config: &Path, from_flag: bool) -> Result<PathBuf, Vec<PathBuf>> {
    let current = std::env::current_dir().unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::path::absolute(config)
        .unwrap_or_else(|_| config.to_owned())
        .ancestors()
        .skip(1)
        .map(Path::to_owned)
        .collect();
    if from_flag {
        folders.insert(0, current.clone());
    } else {
        folders.push(current.clone());
    }
    // For an absolute path `join` gives the path itself, every time.
    let mut tried: Vec<PathBuf> = Vec::new();
    for path in folders.iter().map(|folder| folder.join(typed)) {
        if path.exists() {
            return Ok(shorten(&path, &current));
        }
        if !tried.contains(&path) {
            tried.push(path);
        }
    }
    Err(tried)
}

/// The folder that `path` lies in; the current one for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

fn shorten(path: &Path, current: &Path) -> PathBuf {
    match path.strip_prefix(current) {
        Ok(short) if !short.as_os_str().is_empty() => short.to_owned(),
        _ => path.to_owned(),
    }
}
