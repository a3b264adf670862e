//! Scoring a template on examples that another template has chosen.

use ptuning_core::objective::Scores;
use ptuning_core::template::BoundTemplate;

use super::error::SearchError;
use crate::error::Error;
use crate::evaluate::same_examples;
use crate::outcome::outcome;
use crate::prompt::Prompt;
use crate::settings::Split;
use crate::task::{Item, Task};
use crate::verbalize::prepared;

/// What errors call the template.
const SETTING: &str = "the template";

/// Scores `text` on the `judged` examples of a split, in the order of their indices, and on no others: what is
/// compared has to answer the same questions.
///
/// # Errors
/// A template that does not bind, has virtual tokens, or in which an answer is several tokens.
pub fn judge(task: &Task, text: &str, split: Split, judged: &[Item]) -> Result<Scores, Error> {
    let template = task.bind(SETTING, text)?;
    if template.prompt_len() > 0 {
        return Err(Error::UntrainedVirtualTokens { setting: SETTING });
    }
    let items = all_examples(task, split, &template, judged)?;
    let verbalizer = prepared(task, &template, None, task.verbalizer(&template)?)?;
    let lm = task.backbone.model.as_ref();
    Ok(outcome(lm, None, &items, &verbalizer, task.settings.eval.batch_size).scores())
}

/// The same of a trained prompt.
///
/// # Errors
/// A template in which an answer is several tokens.
pub fn judge_prompt(
    task: &Task,
    prompt: &Prompt,
    split: Split,
    judged: &[Item],
) -> Result<Scores, Error> {
    let items = all_examples(task, split, &prompt.template, judged)?;
    let lm = prompt.language_model(&task.backbone);
    let batch_size = task.settings.eval.batch_size;
    Ok(outcome(lm, prompt.vectors.as_ref(), &items, &prompt.verbalizer, batch_size).scores())
}

/// The judged examples in another template, which has to be able to ask about all of them.
fn all_examples(
    task: &Task,
    split: Split,
    template: &BoundTemplate,
    judged: &[Item],
) -> Result<Vec<Item>, Error> {
    let items = same_examples(task, split, template, judged)?;
    let (expected, found) = (judged.len(), items.len());
    match found < expected {
        true => Err(SearchError::OtherExamples { expected, found }.into()),
        false => Ok(items),
    }
}
