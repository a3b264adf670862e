//! Answers of several tokens: judged on a split, ranked and written for new inputs.

mod evaluation;
mod predict;

pub use evaluation::{WholeEvaluation, check, evaluate};
pub use predict::{
    Generation, RankedAnswer, Ranking, Written, WrittenAnswer, rank_answers, write_answers,
};

use backbone::Backbone;
use ptuning_core::answers::{AnswerSet, with_room};
use ptuning_core::language_model::LanguageModel;
use ptuning_core::template::BoundTemplate;

use crate::error::Error;

/// A template with room for the longest of some answers, which the language model can be asked for;
/// `place` is what asks for them.
fn with_room_for(
    answers: &AnswerSet,
    template: &BoundTemplate,
    lm: &dyn LanguageModel,
    backbone: &Backbone,
    place: &'static str,
) -> Result<BoundTemplate, Error> {
    let (tokenizer, max) = (&backbone.tokenizer, lm.max_positions());
    answers
        .check(lm, tokenizer)
        .and_then(|()| with_room(template, tokenizer, max, answers.longest()))
        .map_err(Error::answers(place))
}
