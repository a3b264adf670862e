//! Where fetched models lie, and what a configuration's `backbone.source` means.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::catalogue::{CATALOGUE, Model, find};
use super::hub::{self, Found, Hub, HubError, HubModel, Lacks};
use crate::source::error::{nearest, nearest_hint};

/// Why a backbone cannot be located.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocateError {
    /// No environment variable says where a cache may be.
    #[error(
        "cannot tell where to keep backbones: none of PTUNE_CACHE, XDG_CACHE_HOME and HOME is set\n  \
         hint: set PTUNE_CACHE to a folder"
    )]
    NoCache,

    /// Neither a name of the catalogue nor a path that exists.
    #[error(
        "no backbone {name:?}: it is no name of the catalogue ({}), and there is no {}{}",
        catalogue_names(), path.display(), nearest_hint(*nearest)
    )]
    NotFound {
        /// The source as it was given.
        name: String,
        /// The path that it would be.
        path: PathBuf,
        /// The most similar name of the catalogue.
        nearest: Option<&'static str>,
    },

    /// A backbone that is not here yet.
    #[error("the backbone '{name}' is not here\n  hint: `ptune fetch {name}` downloads it")]
    Missing {
        /// Its name.
        name: String,
    },

    /// A source of a hub that is none, or a cache of a hub that cannot be looked at.
    #[error(transparent)]
    Hub(#[from] HubError),

    /// The operating system refused to look.
    #[error("cannot look at {}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A backbone's whereabouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// It is there, at this path (a file or a folder for [`crate::source::open`]).
    Present(PathBuf),
    /// It has to be fetched first.
    Missing(Missing),
}

/// A backbone that can be fetched and is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// A model of the catalogue.
    Catalogue(&'static Model),
    /// A model of a hub, with what the cache lacks of it.
    Hub(HubModel, Lacks),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalogue(model) => f.write_str(model.name),
            Self::Hub(model, _) => model.fmt(f),
        }
    }
}

/// The cache folder: `$PTUNE_CACHE`, else `$XDG_CACHE_HOME/ptune`, else `~/.cache/ptune`.
///
/// # Errors
/// [`LocateError::NoCache`] where none of the variables is set.
pub fn cache_dir() -> Result<PathBuf, LocateError> {
    cache_dir_from(|name| std::env::var_os(name))
}

fn cache_dir_from(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, LocateError> {
    let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG specification has relative paths ignored.
    folder("PTUNE_CACHE")
        .or_else(|| {
            let xdg = folder("XDG_CACHE_HOME").filter(|path| path.is_absolute());
            xdg.map(|path| path.join("ptune"))
        })
        .or_else(|| folder("HOME").map(|home| home.join(".cache").join("ptune")))
        .ok_or(LocateError::NoCache)
}

/// The folder of a model in a cache.
pub fn model_dir(model: &Model, cache: &Path) -> PathBuf {
    cache.join("backbones").join(model.name)
}

/// What of a model is opened (its GGUF file, or else its folder), if every file of it is in the
/// cache with the size it should have.
///
/// They got there by renames after their hashes were right, so the sizes are enough to look at.
pub fn installed(model: &Model, cache: &Path) -> Option<PathBuf> {
    let folder = model_dir(model, cache);
    let whole = model.files().all(|member| {
        let metadata = folder.join(member.file).metadata();
        metadata.is_ok_and(|found| found.is_file() && found.len() == member.bytes)
    });
    whole.then(|| opened(model, &folder))
}

/// What of a model in a folder is opened: a GGUF file holds everything, else it takes the folder.
pub(super) fn opened(model: &Model, folder: &Path) -> PathBuf {
    let weights = model.weights.file;
    if weights.ends_with(".gguf") { folder.join(weights) } else { folder.to_path_buf() }
}

/// What a configuration's `backbone.source` means: a name of the catalogue, a model of a hub
/// (`hf:org/model`), or a path, relative paths being seen from `base` (the configuration's folder) and
/// `~/` being the home folder.
///
/// A name of the catalogue wins over a folder of that name; write `./name` for the folder.
///
/// # Errors
/// [`LocateError::NotFound`] with the nearest name, [`LocateError::Hub`].
pub fn resolve(source: &str, base: &Path) -> Result<Located, LocateError> {
    if HubModel::is_meant(source) {
        let model: HubModel = source.parse()?;
        return Ok(match hub::located(&model, &Hub::from_env()?)? {
            Found::Present(path) => Located::Present(path),
            Found::Absent(lacks) => Located::Missing(Missing::Hub(model, lacks)),
        });
    }
    match find(source) {
        Some(_) => resolve_in(source, base, &cache_dir()?),
        None => resolve_in(source, base, Path::new("")),
    }
}

/// The file or folder of a backbone that is here already, as [`resolve`] finds it.
///
/// # Errors
/// As [`resolve`], and [`LocateError::Missing`].
pub fn present(source: &str, base: &Path) -> Result<PathBuf, LocateError> {
    match resolve(source, base)? {
        Located::Present(path) => Ok(path),
        Located::Missing(missing) => Err(LocateError::Missing { name: missing.to_string() }),
    }
}

/// As [`resolve`] for names of the catalogue and paths, with the cache folder given.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_in(source: &str, base: &Path, cache: &Path) -> Result<Located, LocateError> {
    if let Some(model) = find(source) {
        let missing = Located::Missing(Missing::Catalogue(model));
        return Ok(installed(model, cache).map_or(missing, Located::Present));
    }
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    let path = match source.strip_prefix("~/").zip(home()) {
        Some((rest, home)) => home.join(rest),
        None => base.join(source),
    };
    // An empty source would be the base folder itself.
    match path.try_exists() {
        Ok(true) if !source.is_empty() => Ok(Located::Present(path)),
        Ok(_) => Err(LocateError::NotFound {
            name: source.to_owned(),
            path,
            nearest: nearest(source, CATALOGUE.iter().map(|model| model.name)),
        }),
        Err(error) => Err(LocateError::Read { path, source: error }),
    }
}

fn catalogue_names() -> String {
    CATALOGUE.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<PathBuf, LocateError> {
        cache_dir_from(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_cache_folder_goes_by_the_first_variable_set() {
        let all = [("PTUNE_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(with(&all).unwrap(), Path::new("/a"));
        assert_eq!(with(&all[1..]).unwrap(), Path::new("/b/ptune"));
        assert_eq!(with(&all[2..]).unwrap(), Path::new("/c/.cache/ptune"));
        let unset = [("PTUNE_CACHE", ""), ("XDG_CACHE_HOME", "relative"), ("HOME", "/c")];
        assert_eq!(with(&unset).unwrap(), Path::new("/c/.cache/ptune"));
        assert!(matches!(with(&[]), Err(LocateError::NoCache)));
    }
}
