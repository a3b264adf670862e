//! Words related to labels, from a source of knowledge.

mod list;
mod wordnet;

use std::path::PathBuf;

use crate::data::DataError;
use crate::settings::{Knowledge, Labels};

/// What is wrong with a source of knowledge.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// A list that cannot be read.
    #[error(transparent)]
    List(#[from] DataError),
    /// A file that cannot be read.
    #[error("{}: cannot read the words related to labels: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of a list that is none.
    #[error(
        "{}:{line}: expected `label: word, word, …`, found {found:?}", file.display()
    )]
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What stands there.
        found: String,
    },
    /// A label that is not one of the config's.
    #[error("{}:{line}: unknown label '{found}'{hint}", file.display())]
    Label {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The label.
        found: String,
        /// `\nhint: …`
        hint: String,
    },
    /// WordNet is not where it usually is.
    #[error(
        "verbalizer.knowledge = \"wordnet\": WordNet is in none of {}\nhint: install it (Debian's package \
         is wordnet-base), or name the folder that holds its data.noun", tried.join(", ")
    )]
    NoWordNet {
        /// Where it was looked for.
        tried: Vec<String>,
    },
    /// A database that is not WordNet's.
    #[error("{}: byte {at}: not a line of WordNet's database", file.display())]
    WordNet {
        /// The file.
        file: PathBuf,
        /// Where.
        at: usize,
    },
}

/// The words related to each label, nearest first, without its own and without those that are as near to
/// another label. At most `most` for each.
///
/// # Errors
/// A source that cannot be read.
pub fn related(
    knowledge: &Knowledge,
    labels: &Labels,
    most: usize,
) -> Result<Vec<Vec<String>>, KnowledgeError> {
    let mut all = match knowledge {
        Knowledge::File(path) if path.is_dir() => wordnet::related(path, labels)?,
        Knowledge::File(path) => list::related(path, labels)?,
        Knowledge::WordNet => wordnet::related(&wordnet::folder()?, labels)?,
    };
    // A word stands for the label that it is nearest to.
    let own = |word: &str| labels.iter().any(|(_, words)| words.iter().any(|own| own == word));
    let nearness: Vec<std::collections::HashMap<String, usize>> = all
        .iter()
        .map(|words| words.iter().cloned().enumerate().map(|(at, word)| (word, at)).collect())
        .collect();
    for (label, words) in all.iter_mut().enumerate() {
        let elsewhere = |word: &String| {
            let here = nearness[label].get(word);
            let mut others = nearness.iter().enumerate().filter(|(other, _)| *other != label);
            others.any(|(_, other)| other.get(word).is_some_and(|there| Some(there) <= here))
        };
        words.retain(|word| !own(word) && !elsewhere(word));
        words.truncate(most);
    }
    Ok(all)
}
