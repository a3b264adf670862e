//! `[verbalizer]`: labels, and the words that stand for them.

use std::collections::BTreeMap;

use ptuning_core::verbalizer::Aggregate;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::document::{Entry, Node};
use super::error::{Fault, Place};
use super::reader::{Given, OrDefault, Reader};
use super::shape::Shape;
use super::verbalizer_kind::{VerbalizerKind, kind};

/// Label → words, in the order of the config.
pub type Labels = Vec<(String, Vec<String>)>;

/// `[verbalizer]`: answers are labels, and words stand for them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerbalizerSettings {
    /// Where the words come from.
    #[serde(flatten)]
    pub kind: VerbalizerKind,
    /// How the words of a label make its score.
    pub aggregate: Aggregate,
    /// Whether training learns how much each word counts.
    pub learn_weights: bool,
    /// Learning rate of word weights or label vectors; the prompt's if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// What is taken off a word's score.
    #[serde(flatten)]
    pub calibration: Calibration,
    /// Words whose weight is not 1.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
    /// At least two labels, each with a word unless words are found.
    #[serde(serialize_with = "in_order")]
    pub labels: Labels,
}

/// What is taken off a word's score before words are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "calibration", rename_all = "lowercase")]
pub enum Calibration {
    /// Nothing.
    None,
    /// What it scores on inputs that say nothing.
    Contextual {
        /// The inputs; never empty.
        content_free: Vec<String>,
    },
    /// What it scores on train's inputs, whatever their labels.
    Train {
        /// How many of them tell, at least 1.
        calibration_examples: usize,
    },
}

impl VerbalizerSettings {
    /// Whether training learns anything of it.
    pub fn learns(&self) -> bool {
        self.learn_weights || self.kind == VerbalizerKind::Soft
    }

    /// How many inputs of train tell what words score whatever their labels.
    pub fn support(&self) -> usize {
        match self.calibration {
            Calibration::Train { calibration_examples } => calibration_examples,
            _ => CALIBRATION_EXAMPLES,
        }
    }

    /// Labels with their words and the words' weights.
    pub fn weighted(&self) -> Vec<(String, Vec<(String, f32)>)> {
        let weight = |word: &String| self.weights.get(word).copied().unwrap_or(1.0) as f32;
        let weighted = |word: &String| (word.clone(), weight(word));
        let label = |(name, words): &(String, Vec<String>)| {
            (name.clone(), words.iter().map(weighted).collect())
        };
        self.labels.iter().map(label).collect()
    }
}

/// Inputs of train that tell a prior.
const CALIBRATION_EXAMPLES: usize = 200;

fn in_order<S: Serializer>(
    labels: &[(String, Vec<String>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if labels.iter().all(|(_, words)| words.is_empty()) {
        return serializer.collect_seq(labels.iter().map(|(name, _)| name));
    }
    let mut map = serializer.serialize_map(Some(labels.len()))?;
    for (name, words) in labels {
        map.serialize_entry(name, words)?;
    }
    map.end()
}

#[derive(Clone, Copy, PartialEq)]
enum Prior {
    None,
    Contextual,
    Train,
}

/// Reads `[verbalizer]`; `None` where answers are words themselves.
pub(super) fn verbalizer(reader: &mut Reader<'_>) -> Option<VerbalizerSettings> {
    let labels = labels(reader);
    let kind = {
        let has_labels = reader.node("verbalizer.labels").is_some();
        kind(reader, has_labels)
    };
    let aggregates =
        [("mean", Aggregate::Mean), ("mean-log", Aggregate::MeanLog), ("max", Aggregate::Max)];
    let aggregate = reader.choice("verbalizer.aggregate", &aggregates);
    let learn_weights = reader.truth("verbalizer.learn_weights");
    let lr = reader.positive("verbalizer.lr");
    let calibrations =
        [("none", Prior::None), ("contextual", Prior::Contextual), ("train", Prior::Train)];
    let calibration = reader.choice("verbalizer.calibration", &calibrations);
    let texts = Shape::list(Shape::Text, 1).told("a list of texts that are not blank");
    let content_free = reader.read("verbalizer.content_free", texts, |node| {
        let texts = node.array().filter(|texts| !texts.is_empty())?;
        texts.iter().map(word).collect::<Option<Vec<_>>>()
    });
    let examples = reader.count("verbalizer.calibration_examples", 1);
    let weights = weights(reader);
    let Some(Given { value: labels, place: labels_place }) = labels else {
        if reader.node("verbalizer.labels").is_none() {
            let reason = || "answers that are words: there are no `verbalizer.labels`".to_owned();
            reader.no_effect("verbalizer.aggregate", &aggregate, None, reason());
            reader.no_effect("verbalizer.calibration", &calibration, None, reason());
            reader.no_effect("verbalizer.content_free", &content_free, None, reason());
            reader.no_effect("verbalizer.calibration_examples", &examples, None, reason());
            reader.no_effect("verbalizer.weights", &weights, None, reason());
            reader.no_effect("verbalizer.learn_weights", &learn_weights, None, reason());
            reader.no_effect("verbalizer.lr", &lr, None, reason());
        }
        return None;
    };
    let soft = kind == VerbalizerKind::Soft;
    if soft {
        let reason = || "kind `soft`, whose label vectors learn in the place of words".to_owned();
        // What a resolved config says of them in any case is no mistake.
        let other = |given: &&Given<Aggregate>| given.value != Aggregate::Mean;
        reader.no_effect(
            "verbalizer.aggregate",
            &aggregate.as_ref().filter(other).map(place_of),
            None,
            reason(),
        );
        let on = |given: &&Given<bool>| given.value;
        reader.no_effect(
            "verbalizer.learn_weights",
            &learn_weights.as_ref().filter(on).map(place_of),
            None,
            reason(),
        );
        let given = calibration.as_ref().filter(|given| given.value != Prior::None);
        reader.no_effect("verbalizer.calibration", &given.map(place_of), None, reason());
    }
    let learn_weights = learn_weights.or_default_to(false);
    if !soft && !learn_weights {
        let reason = "a verbalizer of which nothing learns".to_owned();
        reader.no_effect("verbalizer.lr", &lr, None, reason);
    }
    let (place, calibration) = match calibration {
        Some(Given { value, place }) => (Some(place), value),
        None => (None, Prior::None),
    };
    if calibration != Prior::Contextual {
        let reason = "any calibration but `contextual`".to_owned();
        reader.no_effect("verbalizer.content_free", &content_free, place.as_ref(), reason);
    }
    if calibration != Prior::Train {
        let reason = "any calibration but `train`".to_owned();
        let key = "verbalizer.calibration_examples";
        reader.no_effect(key, &examples, place.as_ref(), reason);
    }
    if let Some(given) = &weights {
        for word in given.value.keys().filter(|word| !is_word(&labels, word)) {
            let fault = Fault::NoEffect {
                key: "verbalizer.weights",
                reason: format!("`{word}`, which stands for no label"),
            };
            reader.problem(given.place.clone(), fault, None);
        }
    }
    check_words(reader, &labels, &kind, &labels_place);
    Some(VerbalizerSettings {
        kind,
        aggregate: aggregate.or_default_to(Aggregate::Mean),
        learn_weights,
        lr: lr.map(|given| given.value),
        calibration: match calibration {
            Prior::None => Calibration::None,
            Prior::Contextual => {
                let content_free = content_free.or_default_to(vec!["N/A".to_owned()]);
                Calibration::Contextual { content_free }
            }
            Prior::Train => Calibration::Train {
                calibration_examples: examples.or_default_to(CALIBRATION_EXAMPLES),
            },
        },
        weights: weights.or_default_to(BTreeMap::new()),
        labels,
    })
}

fn place_of<T>(given: &Given<T>) -> Given<()> {
    Given { value: (), place: given.place.clone() }
}

/// Labels have words unless these are found, and none where they are.
fn check_words(reader: &mut Reader<'_>, labels: &Labels, kind: &VerbalizerKind, place: &Place) {
    let automatic = matches!(kind, VerbalizerKind::Automatic { .. });
    let (expected, found) = match labels.iter().find(|(_, words)| words.is_empty() != automatic) {
        None => return,
        Some((label, words)) if automatic => (
            "a list of labels, whose words kind `automatic` finds, such as [\"positive\", \"negative\"]",
            format!("`{label}` with {} of its own", words.len()),
        ),
        Some((label, _)) => (
            "a table from labels to words, such as { positive = [\"great\"], negative = [\"bad\", \
             \"boring\"] }; kind `automatic` alone takes a list",
            format!("`{label}` without words"),
        ),
    };
    let (key, expected) = ("verbalizer.labels".to_owned(), expected.to_owned());
    reader.problem(place.clone(), Fault::Wrong { key, expected, found }, None);
}

/// Text that is not blank, without blanks around it.
fn word(node: &Node) -> Option<String> {
    node.string().map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned)
}

fn is_word(labels: &[(String, Vec<String>)], word: &str) -> bool {
    labels.iter().any(|(_, words)| words.iter().any(|known| known == word))
}

fn weights(reader: &mut Reader<'_>) -> Option<Given<BTreeMap<String, f64>>> {
    let expected = "a table from words to numbers above 0, such as { great = 2.0 }";
    let expected = Shape::table(Shape::positive()).told(expected);
    reader.read("verbalizer.weights", expected, |node| {
        let weight = |entry: &Entry| {
            let weight = entry.node.number().filter(|&weight| weight > 0.0)?;
            Some((entry.key.clone(), weight))
        };
        node.table()?.iter().map(weight).collect()
    })
}

fn labels(reader: &mut Reader<'_>) -> Option<Given<Labels>> {
    let key = "verbalizer.labels";
    let expected = "a table from labels to words, such as { positive = [\"great\"], negative = \
                    [\"bad\", \"boring\"] }";
    let words = Shape::Either(vec![Shape::Text, Shape::list(Shape::Text, 1)]);
    let shape = Shape::Either(vec![Shape::table(words), Shape::list(Shape::Text, 2)]);
    let given = reader.read(key, shape.told(expected), |node| {
        if let Some(names) = node.array() {
            return names.iter().map(|name| Some((word(name)?, Vec::new()))).collect();
        }
        let words = |node: &Node| match node.array() {
            Some([]) => None,
            Some(nodes) => nodes.iter().map(word).collect(),
            None => word(node).map(|word| vec![word]),
        };
        let label = |entry: &Entry| Some((entry.key.clone(), words(&entry.node)?));
        node.table()?.iter().map(label).collect::<Option<Labels>>()
    })?;
    let mut fault = |found: String, expected: &str, place: &Place| {
        let fault = Fault::Wrong { key: key.to_owned(), expected: expected.to_owned(), found };
        reader.problem(place.clone(), fault, None);
    };
    if given.value.len() < 2 {
        fault(given.value.len().to_string(), "two labels or more", &given.place);
    }
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (label, words) in &given.value {
        for word in words {
            if let Some(other) = seen.insert(word, label) {
                let found = format!("`{word}` for `{other}` and again for `{label}`");
                fault(found, "a word to stand for one label, once", &given.place);
            }
        }
    }
    Some(given)
}
