//! `eval.answers`: which answers count, and how those of several tokens are scored.

use ptuning_core::answers::MaskedScoring;

use super::DataSettings;
use super::reader::{Given, OrDefault, Reader};
use super::sections::{CandidateSource, EvalAnswers};

/// `eval.scoring` by name.
const SCORINGS: [(&str, MaskedScoring); 2] = [
    ("pseudo-likelihood", MaskedScoring::PseudoLikelihood),
    ("left-to-right", MaskedScoring::LeftToRight),
];

/// Why no answer can be several tokens, in words; `None` where one can.
pub(super) fn single_tokens_alone(data: &DataSettings, has_labels: bool) -> Option<&'static str> {
    if has_labels {
        return Some("labels: their words are what may be answered");
    }
    let vocabulary = data.candidates.contains(&CandidateSource::Vocabulary);
    vocabulary.then_some("the candidates `vocabulary`, each of which is one token")
}

/// Reads which answers count; `single` is why no answer can be several tokens.
pub(super) fn answers(reader: &mut Reader<'_>, single: Option<&str>) -> EvalAnswers {
    let all = reader.choice("eval.answers", &[("single-token", false), ("all", true)]);
    let scoring = reader.choice("eval.scoring", &SCORINGS);
    let key = "eval.length_normalisation";
    let mean = reader.truth(key);
    if !matches!(all, Some(Given { value: true, .. })) {
        let place = all.as_ref().map(|given| &given.place);
        let reason = "answers `single-token`, only with `all`";
        reader.no_effect("eval.scoring", &scoring, place, reason.to_owned());
        reader.no_effect(key, &mean, place, reason.to_owned());
        return EvalAnswers::SingleToken;
    }
    if let Some(reason) = single {
        reader.no_effect("eval.answers", &all, None, reason.to_owned());
    }
    EvalAnswers::All {
        scoring: scoring.map(|given| given.value),
        length_normalisation: mean.or_default_to(false),
    }
}
