//! Words that the model itself finds likely at a place of a template.

use burn::tensor::activation::log_softmax;
use ptuning_core::language_model::Objective;
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{BoundTemplate, Encoded, SegmentKind, Template};
use ptuning_core::verbalizer::OpenVocabulary;

use super::vocabulary::Vocabulary;
use super::words::Wording;
use crate::data::Example;
use crate::task::Task;

/// Examples of train that are asked.
const EXAMPLES: usize = 8;

/// What the template calls the answer where the place that is asked for is the answer.
const ANSWER: &str = "answer";

/// The `most` likeliest words in front of the piece at `place`, or instead of it: by the mean of their
/// log-probabilities over examples of train. A causal model sees what stands before, a masked one everything,
/// the right answer included. None where nothing stands before.
pub(super) fn likely_words(
    task: &Task,
    vocabulary: &Vocabulary,
    wording: &Wording,
    place: usize,
    instead: bool,
    most: usize,
) -> Vec<String> {
    let model = task.backbone.model.as_ref();
    let asked = match model.objective() {
        Objective::Causal => wording.before(place).with(SegmentKind::Answer),
        Objective::Masked => {
            let answer =
                wording.pieces().iter().position(|piece| piece.kind == SegmentKind::Answer);
            let input = SegmentKind::Input { field: ANSWER.to_owned(), shorten: None };
            let filled = answer.map_or(wording.clone(), |at| wording.with_kind(at, input));
            match instead {
                true => filled.with_kind(place, SegmentKind::Answer),
                false => filled.inserted(place, "").with_kind(place, SegmentKind::Answer),
            }
        }
    };
    let tokenizer = &task.backbone.tokenizer;
    let bind = |template| {
        BoundTemplate::bind(template, tokenizer, model.objective(), model.max_positions()).ok()
    };
    let Some(template) = Template::parse(&asked.to_string()).ok().and_then(bind) else {
        return Vec::new();
    };
    let encode = |example: &Example| {
        let mut fields = example.fields.clone();
        fields.insert(ANSWER.to_owned(), example.answer.clone());
        template.encode(&fields, tokenizer).ok().filter(|encoded| !encoded.ids.is_empty())
    };
    let encoded: Vec<Encoded> = task.data.train.iter().filter_map(encode).take(EXAMPLES).collect();
    if encoded.is_empty() {
        return Vec::new();
    }
    let logits = answer_logits(model, None, &encoded.iter().collect::<Vec<_>>());
    let mean = log_softmax(logits, 1).mean_dim(0).into_data();
    let scores: Vec<f32> = mean.iter::<f32>().collect();
    let best = OpenVocabulary::candidates(vocabulary.ids()).top(&scores, most);
    best.into_iter().filter_map(|(id, _)| vocabulary.word(id)).map(ToOwned::to_owned).collect()
}
