//! The manual prompt with phrases replaced from a list (Jiang et al. 2020 translate it there and back instead,
//! which takes another model).

use super::error::SearchError;
use super::options::ParaphraseOptions;
use super::phrases::Phrases;
use super::session::{Halt, Search};
use super::words::Wording;
use crate::error::Error;

/// What the journal calls it.
pub(super) const STEP: &str = "paraphrases";

/// Scores every paraphrase.
pub(super) fn run(search: &mut Search<'_>, options: &ParaphraseOptions) -> Result<(), Halt> {
    search.score_manual()?;
    let proposals =
        search.proposals(STEP, |search| Ok(paraphrases(&search.manual_wording()?, options)?))?;
    search.score_all(&proposals)
}

/// The paraphrases that a list has for the manual prompt.
pub(super) fn paraphrases(
    manual: &Wording,
    options: &ParaphraseOptions,
) -> Result<Vec<String>, Error> {
    let phrases = Phrases::read(&options.phrases)?;
    let found = phrases.expand(manual, options.replacements);
    if found.is_empty() {
        let (file, phrases) = (options.phrases.clone(), phrases.len());
        return Err(SearchError::NoPhrase { file, manual: manual.to_string(), phrases }.into());
    }
    Ok(found)
}
