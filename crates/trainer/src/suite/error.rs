//! What can be wrong with a suite's folder.

use std::path::PathBuf;

/// A suite that cannot go on, or parts that do not belong together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// A folder that holds no suite.
    #[error("{}: expected the folder of a suite, found no {missing} in it", folder.display())]
    NotASuite {
        /// The folder.
        folder: PathBuf,
        /// The file that it lacks.
        missing: &'static str,
    },
    /// A folder with something else in it.
    #[error(
        "{}: expected a new folder or one of this suite, found other files\n\
         hint: give the suite another `name` or another folder `suites`",
        folder.display()
    )]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// A cell whose settings have changed since it was run.
    #[error(
        "{}: `{cell}` was run with other settings: {found}, and now {expected}\n\
         hint: --force runs it again; another `name` keeps it",
        folder.display()
    )]
    OtherSettings {
        /// The suite's folder.
        folder: PathBuf,
        /// The cell.
        cell: String,
        /// A line of its settings.
        found: String,
        /// The same line of what is asked for.
        expected: String,
    },
    /// A cell's lock that this file system cannot take.
    #[error(
        "{}: the file cannot be locked ({source}), so that two workers could run one cell\n\
         hint: keep suites on a file system with locks, or give each machine its own folder and `ptune \
         suite merge` them",
        path.display()
    )]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Parts of different suites.
    #[error(
        "{}: expected a part of the suite in {}, found one with other {what}\n\
         hint: parts come from one file, by `ptune suite FILE --shard 1/2` and so on",
        part.display(), first.display()
    )]
    OtherPlan {
        /// The part.
        part: PathBuf,
        /// The first part.
        first: PathBuf,
        /// What is different.
        what: &'static str,
    },
    /// One cell in two parts, with different scores.
    #[error(
        "`{cell}` has other scores in {} than in {}\n\
         hint: remove the one that you do not trust",
        part.display(), out.display()
    )]
    Twice {
        /// The cell.
        cell: String,
        /// The part.
        part: PathBuf,
        /// What the parts become.
        out: PathBuf,
    },
    /// A part that is the folder that parts are joined in.
    #[error("{}: expected parts and another folder to join them in, found one for both", path.display())]
    IntoItself {
        /// The folder.
        path: PathBuf,
    },
}
