//! Options as typed → settings as run: defaults, ranges, and what goes with what.

use std::ops::Bound;
use std::path::Path;

use ptuning_core::ensemble::Combine;

use super::Settings;
use super::answers::{answers, single_tokens_alone};
use super::backbone::backbone;
use super::data::data;
use super::document::Node;
use super::error::{Fault, Place};
use super::lm::lm;
use super::reader::{Given, OrDefault, Reader};
use super::sections::*;
use super::shape::{Expected, Shape};
use super::spans::{settle, spans};
use super::verbalizer::verbalizer;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Lstm,
    Mlp,
    Direct,
}

#[derive(Clone, Copy, PartialEq)]
enum Init {
    Normal,
    Vocabulary,
    Words,
}

#[derive(Clone, Copy, PartialEq)]
enum Curve {
    Constant,
    Linear,
    Exponential,
    Cosine,
}

/// Reads every key. Where the reader gathers a problem the result holds a stand-in, so it counts
/// only if there are none.
pub(super) fn settings(reader: &mut Reader<'_>) -> Settings {
    let mut data = data(reader);
    let has_test = data.test.is_some();
    let verbalizer = labels_or_words(reader, &data);
    let spans = spans(reader);
    if let Some(spans) = &spans {
        settle(reader, spans, &mut data, verbalizer.as_ref());
    }
    let train = train(reader, true);
    let lm = lm(reader, train.strategy);
    let single = single_tokens_alone(&data, verbalizer.is_some());
    Settings {
        name: name(reader),
        seed: seed(reader),
        device: reader.text("device").or_default_to("flex".to_owned()),
        runs: reader.text("runs").or_default_to(super::DEFAULT_RUNS.to_owned()).into(),
        backbone: backbone(reader),
        data,
        template: template(reader),
        verbalizer,
        spans,
        prompt_encoder: prompt_encoder(reader),
        lm,
        train,
        eval: eval(reader, has_test, single),
        log: LogSettings { every: reader.count("log.every", 1).or_default_to(10) },
    }
}

/// Reads `[verbalizer]`, and what of `[data]` depends on it.
fn labels_or_words(
    reader: &mut Reader<'_>,
    data: &DataSettings,
) -> Option<super::VerbalizerSettings> {
    let verbalizer = verbalizer(reader);
    let place = |reader: &mut Reader<'_>, key| reader.node(key).map(|node| node.place.clone());
    let (key, reason) = match &verbalizer {
        Some(_) if data.candidates != [CandidateSource::Dataset] => {
            ("data.candidates", "labels: their words are what may be answered")
        }
        None if data.shots.is_some() => ("data.shots", "answers that are no labels"),
        _ => return verbalizer,
    };
    if let Some(place) = place(reader, key) {
        reader.problem(place, Fault::NoEffect { key, reason: reason.to_owned() }, None);
    }
    verbalizer
}

pub(super) fn seed(reader: &mut Reader<'_>) -> u64 {
    let expected = Shape::Whole { least: 0 }.told("a whole number, at least 0");
    reader.read("seed", expected, |node| u64::try_from(node.integer()?).ok()).or_default_to(0)
}

pub(super) fn name(reader: &mut Reader<'_>) -> String {
    let expected = "a folder name of letters, digits, `-`, `_` and `.` that begins with none of \
                    `-` and `.`";
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let given = reader.read("name", Shape::Text.told(expected), |node| {
        let name = node.string()?;
        let fine = !name.is_empty() && !name.starts_with(['-', '.']) && name.chars().all(plain);
        fine.then(|| name.to_owned())
    });
    given.map(|given| given.value).unwrap_or_else(|| {
        let stem = reader.config().file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let stem: String =
            stem.unwrap_or_default().chars().map(|c| if plain(c) { c } else { '-' }).collect();
        match stem.trim_start_matches(['-', '.']) {
            "" => "run".to_owned(),
            stem => stem.to_owned(),
        }
    })
}

fn template(reader: &mut Reader<'_>) -> TemplateSettings {
    let text = reader.text("template.text").map(|given| given.value);
    if text.is_none() {
        let hint = "[template] text = \"[h:3] capital [x] [h:3] [z]\"";
        reader.missing("template.text", "a template with an answer [z]", hint);
    }
    TemplateSettings { text: text.unwrap_or_default() }
}

fn prompt_encoder(reader: &mut Reader<'_>) -> PromptEncoderSettings {
    let kinds = [("lstm", Kind::Lstm), ("mlp", Kind::Mlp), ("direct", Kind::Direct)];
    let inits =
        [("normal", Init::Normal), ("vocabulary", Init::Vocabulary), ("words", Init::Words)];
    let kind = reader.choice("prompt_encoder.kind", &kinds);
    let hidden = reader.count("prompt_encoder.hidden", 1);
    let init = reader.choice("prompt_encoder.init", &inits);
    let std = reader.positive("prompt_encoder.std");
    let words = reader.text("prompt_encoder.words");
    let (kind_place, kind) = parts(kind, Kind::Lstm);
    let (init_place, init) = parts(init, Init::Normal);

    if kind == Kind::Direct {
        let reason = "kind `direct`, which has no inner width".to_owned();
        reader.no_effect("prompt_encoder.hidden", &hidden, kind_place.as_ref(), reason);
    }
    if let (Kind::Lstm, Some(odd)) = (kind, hidden.as_ref().filter(|given| given.value % 2 == 1)) {
        let fault = Fault::Wrong {
            key: "prompt_encoder.hidden".to_owned(),
            expected: "an even number, half for each direction of the LSTM".to_owned(),
            found: odd.value.to_string(),
        };
        let hint = format!("{} or {}", odd.value - 1, odd.value + 1);
        reader.problem(odd.place.clone(), fault, Some(hint));
    }
    let by_name = |init: Init| inits.iter().find(|(_, known)| *known == init).map_or("", |i| i.0);
    let reason = format!("init `{}`", by_name(init));
    if init != Init::Normal {
        reader.no_effect("prompt_encoder.std", &std, init_place.as_ref(), reason.clone());
    }
    if init != Init::Words {
        reader.no_effect("prompt_encoder.words", &words, init_place.as_ref(), reason);
    } else if words.is_none() {
        let hint = "words = \"the capital of\"";
        reader.missing("prompt_encoder.words", "the words that init `words` starts from", hint);
    }
    let hidden = hidden.map(|given| given.value);
    PromptEncoderSettings {
        kind: match kind {
            Kind::Lstm => PromptEncoderKind::Lstm { hidden },
            Kind::Mlp => PromptEncoderKind::Mlp { hidden },
            Kind::Direct => PromptEncoderKind::Direct,
        },
        init: match init {
            // An encoder's own embeddings start as PyTorch's do; vectors that the backbone reads
            // as they are must start near the scale of its embeddings.
            Init::Normal => PromptInit::Normal {
                std: std.or_default_to(if kind == Kind::Direct { 0.02 } else { 1.0 }),
            },
            Init::Vocabulary => PromptInit::Vocabulary,
            Init::Words => {
                PromptInit::Words { words: words.map(|given| given.value).unwrap_or_default() }
            }
        },
    }
}

/// Reads `[train]`, with its strategy if there is a choice.
pub(super) fn train(reader: &mut Reader<'_>, has_strategy: bool) -> TrainSettings {
    let betas = Shape::List { of: Box::new(Shape::share()), least: 2, most: 2 };
    TrainSettings {
        strategy: has_strategy.then(|| strategy(reader)),
        optimizer: reader
            .choice("train.optimizer", &[("adam", Optimizer::Adam), ("adamw", Optimizer::AdamW)])
            .or_default_to(Optimizer::Adam),
        lr: reader.positive("train.lr").or_default_to(1e-3),
        betas: reader
            .read("train.betas", betas.told("two numbers, each at least 0 and below 1"), |node| {
                let beta = |node: &Node| node.number().filter(|beta| (0.0..1.0).contains(beta));
                match node.array()? {
                    [first, second] => Some((beta(first)?, beta(second)?)),
                    _ => None,
                }
            })
            .or_default_to((0.9, 0.999)),
        eps: reader.positive("train.eps").or_default_to(1e-8),
        weight_decay: reader
            .read(
                "train.weight_decay",
                Shape::not_negative().told("a number, at least 0"),
                |node| node.number().filter(|&number| number >= 0.0),
            )
            .or_default_to(0.0),
        schedule: schedule(reader),
        warmup_steps: reader.count("train.warmup_steps", 0).or_default_to(0),
        epochs: reader.count("train.epochs", 1).or_default_to(8),
        batch_size: reader.count("train.batch_size", 1).or_default_to(8),
        accumulation: reader.count("train.accumulation", 1).or_default_to(1),
        clip_norm: reader.positive("train.clip_norm").map(|given| given.value),
        patience: reader.count("train.patience", 1).map(|given| given.value),
        shuffle: truth(reader, "train.shuffle", true),
        bucket: truth(reader, "train.bucket", true),
        save_every: reader.count("train.save_every", 1).map(|given| given.value),
    }
}

fn strategy(reader: &mut Reader<'_>) -> Strategy {
    reader.choice("train.strategy", &Strategy::ALL).or_default_to(Strategy::FixedLm)
}

fn schedule(reader: &mut Reader<'_>) -> Schedule {
    let shapes = [
        ("constant", Curve::Constant),
        ("linear", Curve::Linear),
        ("exponential", Curve::Exponential),
        ("cosine", Curve::Cosine),
    ];
    let shape = reader.choice("train.schedule", &shapes);
    let factor = Shape::Number { from: Bound::Excluded(0.0), to: Bound::Included(1.0) };
    let gamma = reader.read("train.gamma", factor.told("a number above 0, at most 1"), |node| {
        node.number().filter(|&gamma| gamma > 0.0 && gamma <= 1.0)
    });
    let (place, shape) = parts(shape, Curve::Constant);
    if shape != Curve::Exponential {
        let name = shapes.iter().find(|(_, known)| *known == shape).map_or("", |known| known.0);
        let reason = format!("schedule `{name}`, only with `exponential`");
        reader.no_effect("train.gamma", &gamma, place.as_ref(), reason);
    }
    match shape {
        Curve::Constant => Schedule::Constant,
        Curve::Linear => Schedule::Linear,
        Curve::Exponential => Schedule::Exponential { gamma: gamma.or_default_to(0.98) },
        Curve::Cosine => Schedule::Cosine,
    }
}

fn eval(reader: &mut Reader<'_>, has_test: bool, single: Option<&'static str>) -> EvalSettings {
    let expected = Shape::list(Shape::Text, 2).told("a list of two templates or more");
    let ensemble = reader.read("eval.ensemble", expected, |node| {
        let template =
            |node: &Node| node.string().filter(|text| !text.trim().is_empty()).map(str::to_owned);
        let templates = node.array().filter(|templates| templates.len() > 1)?;
        templates.iter().map(template).collect::<Option<Vec<String>>>()
    });
    let names =
        [("mean", Combine::Mean), ("majority", Combine::Majority), ("learned", Combine::Learned)];
    let combine = reader.choice("eval.combine", &names);
    if ensemble.is_none() {
        let reason = "a single template: there is no `eval.ensemble`".to_owned();
        reader.no_effect("eval.combine", &combine, None, reason);
    }
    EvalSettings {
        splits: splits(reader, has_test),
        manual: reader.text("eval.manual").map(|given| given.value),
        combine: ensemble.is_some().then(|| combine.or_default_to(Combine::Mean)),
        ensemble: ensemble.or_default_to(Vec::new()),
        top_k: reader.count("eval.top_k", 1).or_default_to(10),
        batch_size: reader.count("eval.batch_size", 1).or_default_to(64),
        answers: answers(reader, single),
    }
}

fn splits(reader: &mut Reader<'_>, has_test: bool) -> Vec<Split> {
    let names = Split::ALL.map(|split| (split.name(), split));
    let key = "eval.splits";
    let expected = "a list of `train`, `dev`, `test`";
    let one = Shape::Choice(Split::ALL.map(Split::name).to_vec());
    reader.takes(key, Shape::list(one, 0).told(expected));
    let Some(node) = reader.node(key) else {
        return [Split::Dev, Split::Test].into_iter().take(1 + usize::from(has_test)).collect();
    };
    let Some(nodes) = node.array() else {
        let fault = Fault::Wrong {
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: node.describe(),
        };
        let hint = node.string().map(|name| format!("splits = [{name:?}]"));
        reader.problem(node.place.clone(), fault, hint);
        return Vec::new();
    };
    let mut splits = Vec::new();
    for node in nodes {
        let Some(Given { value, place }) = reader.choose(key, node, &names) else {
            continue;
        };
        if value == Split::Test && !has_test {
            let fault = Fault::NoEffect { key, reason: "data that has no test split".to_owned() };
            reader.problem(place, fault, Some("data.test = \"…\" names its file".to_owned()));
        } else if !splits.contains(&value) {
            splits.push(value);
        }
    }
    splits
}

pub(super) fn truth(reader: &mut Reader<'_>, key: &'static str, default: bool) -> bool {
    reader.truth(key).or_default_to(default)
}

fn parts<T>(given: Option<Given<T>>, default: T) -> (Option<Place>, T) {
    match given {
        Some(given) => (Some(given.place), given.value),
        None => (None, default),
    }
}

/// Every key that is read, `section.key`, with what it takes, in the order of reading.
pub(super) fn keys() -> Vec<(&'static str, Expected)> {
    let mut reader = Reader::new(&[], Path::new(""), false);
    settings(&mut reader);
    reader.finish().1
}
