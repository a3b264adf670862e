//! Everything that can be wrong with a search is looked at before its run folder is made.

use super::error::SearchError;
use super::journal::{Journal, Record};
use super::layouts::layouts;
use super::options::{FILE, Method, SearchOptions};
use super::session::{manual, manual_wording};
use super::{gradient, mine, paraphrase};
use crate::Interrupter;
use crate::data;
use crate::error::Error;
use crate::run_dir::RunDir;
use crate::settings::Split;
use crate::task::Task;
use crate::train_loop::check_template;

/// What a method proposes at once, having looked at all that it needs; `None` if Ctrl-C came first.
///
/// # Errors
/// A manual prompt that cannot be asked anything, files of the method that cannot be used.
pub fn prepare(
    task: &Task,
    options: &SearchOptions,
    interrupter: &Interrupter,
) -> Result<Option<Vec<Record>>, Error> {
    let (template, text) = manual(task)?;
    let verbalizer = task.verbalizer(&template)?;
    task.encode(Split::Dev, &template, &verbalizer)?;
    let (train, _) = task.encode(Split::Train, &template, &verbalizer)?;
    let wording = manual_wording(&text)?;
    let proposed = |step: &str, proposals| Record::Proposed { step: step.to_owned(), proposals };
    match &options.method {
        Method::Mine(options) => {
            let mined = mine::mine(task, options, interrupter)?;
            return Ok(mined.map(|mined| vec![proposed(mine::STEP, mined)]));
        }
        Method::Paraphrase(options) => {
            let found = paraphrase::paraphrases(&wording, options)?;
            return Ok(Some(vec![proposed(paraphrase::STEP, found)]));
        }
        Method::Gradient(options) => gradient::check(task, options, &train)?,
        Method::Edit(options) => {
            options.words.as_deref().map(data::words).transpose()?;
        }
        Method::Prompts(options) => {
            check_template(task.settings.train.strategy, 1, false)?;
            layouts(&wording, &options.anchors, &options.tokens)?;
        }
    }
    Ok(Some(Vec::new()))
}

/// Notes in a new run folder what is searched and what [`prepare`] has found.
///
/// # Errors
/// A folder that cannot be written.
pub fn begin(run: &RunDir, options: &SearchOptions, found: Vec<Record>) -> Result<(), Error> {
    write_options(run, options)?;
    let mut journal = Journal::open(run)?;
    found.into_iter().try_for_each(|record| journal.add(record))
}

/// Notes in a run folder what is searched.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_options(run: &RunDir, options: &SearchOptions) -> Result<(), Error> {
    run.write_json(FILE, options)
}

/// What a run folder searches.
///
/// # Errors
/// A folder of another kind of run.
pub fn options_of(run: &RunDir) -> Result<SearchOptions, Error> {
    let path = run.path().join(FILE);
    if !path.is_file() {
        return Err(SearchError::NotASearch { folder: run.path().to_owned() }.into());
    }
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
    serde_json::from_str(&text).map_err(|source| Error::Json { path, source })
}
