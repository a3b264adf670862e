//! `[spans]`: answers are entities of a sentence, found by asking about its spans.

use std::collections::BTreeMap;

use ptuning_core::spans::{STOP_WORDS, SpanRules};
use serde::Serialize;

use super::error::Fault;
use super::nearest::nearest;
use super::reader::{OrDefault, Reader};
use super::shape::Shape;
use super::{DataSettings, VerbalizerSettings};

/// The input of a template that is the sentence, and the one that is the span.
pub const SENTENCE: &str = "x";
/// See [`SENTENCE`].
pub const SPAN: &str = "span";

/// `[spans]`: a template asks about each span of a sentence, and labels say what it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpanSettings {
    /// Key of a row that holds the words of its sentence.
    pub tokens: String,
    /// Key of a row that holds its entities.
    pub entities: String,
    /// Spans without an entity that training sees for each entity, at least 0.
    pub negatives: f64,
    /// Which spans are asked about.
    #[serde(flatten)]
    pub rules: SpanRules,
}

/// Reads `[spans]`; `None` where there is no such section.
pub(super) fn spans(reader: &mut Reader<'_>) -> Option<SpanSettings> {
    let tokens = reader.text("spans.tokens").or_default_to("tokens".to_owned());
    let entities = reader.text("spans.entities").or_default_to("entities".to_owned());
    let longest = reader.count("spans.longest", 1).or_default_to(4);
    let number = Shape::not_negative().told("a number, at least 0");
    let negatives = reader
        .read("spans.negatives", number, |node| node.number().filter(|&number| number >= 0.0));
    let none = reader.text("spans.none").or_default_to("none".to_owned());
    let expected = Shape::list(Shape::Text, 0).told("a list of words, such as [\"the\", \"of\"]");
    let stop_words = reader.read("spans.stop_words", expected, |node| {
        let word = |node: &super::document::Node| node.string().map(str::to_owned);
        node.array()?.iter().map(word).collect::<Option<Vec<_>>>()
    });
    let default = || STOP_WORDS.iter().map(|&word| word.to_owned()).collect();
    let stop_words = stop_words.map_or_else(default, |given| given.value);
    reader.has_section("spans").then(|| SpanSettings {
        tokens,
        entities,
        negatives: negatives.or_default_to(1.5),
        rules: SpanRules { longest, none, stop_words },
    })
}

/// Settles what of the other sections depends on `[spans]`.
pub(super) fn settle(
    reader: &mut Reader<'_>,
    spans: &SpanSettings,
    data: &mut DataSettings,
    verbalizer: Option<&VerbalizerSettings>,
) {
    let inputs = BTreeMap::from([
        (SENTENCE.to_owned(), spans.tokens.clone()),
        (SPAN.to_owned(), spans.entities.clone()),
    ]);
    let reason = "[spans], which says where words and entities are";
    let given = [
        ("data.inputs", data.inputs != inputs, reason),
        ("data.answer", data.answer != "z", reason),
        ("eval.ensemble", true, "[spans]: entities are judged by one template"),
    ];
    for (key, differs, reason) in given {
        if let Some(node) = reader.node(key).filter(|_| differs) {
            let fault = Fault::NoEffect { key, reason: reason.to_owned() };
            reader.problem(node.place.clone(), fault, None);
        }
    }
    data.inputs = inputs;
    let Some(verbalizer) = verbalizer else {
        let hint = "labels = { person = [\"person\"], location = [\"place\"], none = [\"word\"] }";
        let expected = "the kinds of entities, and what is none, each with words that stand for it";
        reader.missing("verbalizer.labels", expected, hint);
        return;
    };
    let names = || verbalizer.labels.iter().map(|(name, _)| name.as_str());
    if names().all(|name| name != spans.rules.none) {
        let known: Vec<String> = names().map(|name| format!("`{name}`")).collect();
        let fault = Fault::Wrong {
            key: "spans.none".to_owned(),
            expected: format!("one of the labels {}", known.join(", ")),
            found: format!("`{}`", spans.rules.none),
        };
        let hint = nearest(&spans.rules.none, names()).map_or_else(
            || format!("add to verbalizer.labels: {} = [\"word\"]", spans.rules.none),
            |near| format!("did you mean `{near}`?"),
        );
        let key =
            if reader.node("spans.none").is_some() { "spans.none" } else { "verbalizer.labels" };
        if let Some(place) = reader.node(key).map(|node| node.place.clone()) {
            reader.problem(place, fault, Some(hint));
        }
    }
}
