//! Answers of several tokens against transformers: scores, ranks, beams and fillings.
//!
//! Golden numbers: `scripts/reference/answers.py`. Those of real weights are compared when the backbones
//! have been fetched; with `PTUNE_REQUIRE_REAL=1` their absence is a failure.

mod common;

use std::path::{Path, PathBuf};

use backbone::source::fetch::{Located, resolve};
use backbone::{Backbone, Options};
use burn::tensor::{Device, Tensor};
use common::batch::{golden_folder, start};
use ptuning_core::answers::{
    AnswerSet, Beams, FillOrder, MaskedScoring, Scorer, Scoring, fill, generate, with_room,
};
use ptuning_core::language_model::{LanguageModel, Objective};
use ptuning_core::template::{BoundTemplate, Encoded, Fields, Template};
use serde_json::Value;
use trainer::evaluate::evaluate;
use trainer::settings::{self, Split};
use trainer::task::Task;

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(of).collect()
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn ids(value: &Value) -> Vec<u32> {
    list(value, |id| id.as_u64().unwrap() as u32)
}

fn close(found: f32, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap() as f32;
    assert!((found - expected).abs() < 1e-4, "{what}: {found} and {expected}");
}

/// A model of the golden numbers with its template, inputs and answers.
struct Case {
    golden: Value,
    backbone: Backbone,
    prompt: Option<Tensor<2>>,
    template: BoundTemplate,
    set: AnswerSet,
}

impl Case {
    fn new(golden: Value, folder: &Path, options: Options) -> Self {
        let backbone = backbone::load_with(folder, &Device::flex(), options).unwrap();
        let lm = backbone.model.as_ref();
        let prompt = (golden["prompt"] != 0)
            .then(|| Tensor::from_data(start(lm.hidden_size()), &Device::flex()));
        let template = Template::parse(golden["template"].as_str().unwrap()).unwrap();
        let bind = |max| {
            BoundTemplate::bind(template.clone(), &backbone.tokenizer, lm.objective(), max).unwrap()
        };
        let template = bind(lm.max_positions());
        let words = list(&golden["answers"], |word| word.as_str().unwrap().to_owned());
        let words = words.iter().map(String::as_str);
        let set = AnswerSet::new(words, &template, &backbone.tokenizer).unwrap();
        assert_eq!(set.tokens(), list(&golden["tokens"], ids));
        Self { golden, backbone, prompt, template, set }
    }

    fn lm(&self) -> &dyn LanguageModel {
        self.backbone.model.as_ref()
    }

    fn contexts(&self, tokens: usize) -> Vec<Encoded> {
        let (tokenizer, max) = (&self.backbone.tokenizer, self.lm().max_positions());
        let template = with_room(&self.template, tokenizer, max, tokens).unwrap();
        let encode = |input: &Value| {
            let x = input.as_str().unwrap().to_owned();
            template.encode(&Fields::from([("x".to_owned(), x)]), tokenizer).unwrap()
        };
        list(&self.golden["inputs"], encode)
    }

    fn scorer(&self, masked: Option<MaskedScoring>, mean: bool, batch_size: usize) -> Scorer<'_> {
        let scoring = Scoring { masked, normalised: mean, batch_size };
        scoring.check(self.lm()).unwrap();
        Scorer::new(self.lm(), self.prompt.as_ref(), &self.set, scoring)
    }

    /// Scores and ranks, in whatever batches.
    fn compare_scores(&self) {
        let contexts = self.contexts(self.set.longest());
        let contexts: Vec<&Encoded> = contexts.iter().collect();
        let right = list(&self.golden["right"], count);
        for case in self.golden["scores"].as_array().unwrap() {
            let scoring: MaskedScoring = serde_json::from_value(case["scoring"].clone()).unwrap();
            let masked = (self.lm().objective() == Objective::Masked).then_some(scoring);
            let what = format!("{} {scoring:?}", self.golden["model"]);
            for (mean, ranks) in [(false, "ranks"), (true, "ranks_normalised")] {
                let expected = list(&case[ranks], count);
                for batch_size in [1, 2, 64] {
                    let scorer = self.scorer(masked, mean, batch_size);
                    let found = scorer.ranks(&contexts, &right);
                    let places: Vec<usize> = found.iter().map(|found| found.rank).collect();
                    assert_eq!(places, expected, "{what}, mean {mean}, batches of {batch_size}");
                    for (index, (context, sums)) in
                        contexts.iter().zip(case["sums"].as_array().unwrap()).enumerate()
                    {
                        let scores = scorer.scores(context);
                        let sums = sums.as_array().unwrap();
                        assert_eq!(scores.len(), sums.len());
                        for ((score, tokens), sum) in scores.iter().zip(self.set.tokens()).zip(sums)
                        {
                            let tokens = if mean { tokens.len() as f32 } else { 1.0 };
                            close(score * tokens, sum, &what);
                        }
                        let score = scores[right[index]];
                        assert!((found[index].score - score).abs() < 1e-5, "{what}");
                        // What was left out of a rank could not have changed it.
                        let higher = scores.iter().enumerate();
                        let higher = higher.filter(|&(n, &s)| n != right[index] && s > score);
                        assert_eq!(found[index].rank, higher.count(), "{what}");
                    }
                }
            }
        }
    }

    /// What the model writes by itself.
    fn compare_written(&self) {
        let (tokenizer, prompt) = (&self.backbone.tokenizer, self.prompt.as_ref());
        let what = self.golden["model"].to_string();
        let none = Vec::new();
        for case in self.golden["generated"].as_array().unwrap_or(&none) {
            let max_tokens = count(&case["max_tokens"]);
            let normalised = case["normalised"].as_bool().unwrap();
            let options = Beams { beams: count(&case["beams"]), max_tokens, normalised };
            let contexts = self.contexts(max_tokens);
            for (context, expected) in contexts.iter().zip(case["answers"].as_array().unwrap()) {
                let found = generate(self.lm(), prompt, context, tokenizer, options).unwrap();
                let expected = expected.as_array().unwrap();
                assert_eq!(found.len(), expected.len(), "{what}, {options:?}");
                for (found, expected) in found.iter().zip(expected) {
                    assert_eq!(found.tokens, ids(&expected["tokens"]), "{what}, {options:?}");
                    close(found.score, &expected["score"], &what);
                }
            }
        }
        for case in self.golden["filled"].as_array().unwrap_or(&none) {
            let places = count(&case["places"]);
            let order = match case["order"].as_str().unwrap() {
                "confidence" => FillOrder::Confidence,
                _ => FillOrder::LeftToRight,
            };
            let contexts = self.contexts(places);
            for (context, expected) in contexts.iter().zip(case["answers"].as_array().unwrap()) {
                let found =
                    fill(self.lm(), prompt, context, tokenizer, places, order, false).unwrap();
                assert_eq!(found.tokens, ids(&expected["tokens"]), "{what}, {order:?}");
                assert_eq!(found.order, list(&expected["order"], count), "{what}, {order:?}");
                close(found.log_probability, &expected["log_probability"], &what);
            }
        }
    }
}

#[test]
fn tiny_models_score_and_write_as_in_transformers() {
    let golden = golden("answers.json");
    let models = golden["models"].as_array().unwrap();
    assert!(models.len() >= 3);
    for model in models {
        let folder = golden_folder(model["model"].as_str().unwrap());
        // One pass over what stands in front, or one for each answer.
        for share_prefix in [true, false] {
            let options = Options { share_prefix, ..Options::default() };
            let case = Case::new(model.clone(), &folder, options);
            case.compare_scores();
            case.compare_written();
        }
        let options = Options { fused: false, ..Options::default() };
        Case::new(model.clone(), &folder, options).compare_scores();
    }
}

fn real(name: &str) -> Option<PathBuf> {
    let located = resolve(name, Path::new("."));
    if let Ok(Located::Present(path)) = located {
        return Some(path);
    }
    let required = std::env::var_os("PTUNE_REQUIRE_REAL").is_some_and(|value| value == "1");
    assert!(!required, "PTUNE_REQUIRE_REAL=1, but {name} is not fetched: {located:?}");
    eprintln!("skipped: {name} is not fetched");
    None
}

#[test]
fn real_models_score_and_write_as_in_transformers() {
    for model in golden("answers_real.json")["models"].as_array().unwrap() {
        let Some(path) = real(model["model"].as_str().unwrap()) else { continue };
        let case = Case::new(model.clone(), &path, Options::default());
        case.compare_scores();
        case.compare_written();
    }
}

#[test]
fn every_example_of_a_relation_is_ranked_as_the_reference_ranks_it() {
    let expected = golden("answers_real.json")["relation"].clone();
    let Some(path) = real("smollm2-135m") else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let overrides = [format!("data.limit={}", expected["limit"]), "eval.answers=all".to_owned()];
    let settings = settings::load(&root.join("configs/lama.toml"), &overrides).unwrap();
    let manual = settings.eval.manual.clone();
    assert_eq!(manual.as_deref(), expected["template"].as_str());
    let backbone = backbone::load(&path, &Device::flex()).unwrap();
    let task = Task::load(settings, backbone).unwrap();
    let evaluation = evaluate(&task, None, Split::Dev).unwrap();
    let all = evaluation.all.unwrap();
    assert_eq!(all.counts.used, count(&expected["examples"]));
    assert_eq!(all.candidates, count(&expected["candidates"]));
    let several = evaluation.counts.read - evaluation.counts.used;
    assert_eq!(several, count(&expected["several_tokens"]));
    let scores = all.manual.unwrap();
    let hits = |share: f64| (share * scores.examples as f64).round() as usize;
    // Within one example: two answers may score alike to the last bit of a float.
    for (found, key) in [(scores.precision_at_1, "hits1"), (scores.precision_at_10, "hits10")] {
        assert!(hits(found).abs_diff(count(&expected[key])) <= 1, "{key}: {}", hits(found));
    }
    assert!((scores.mrr - expected["mrr"].as_f64().unwrap()).abs() < 0.01);
    let loss = expected["loss"].as_f64().unwrap();
    assert!((scores.loss - loss).abs() < 1e-3, "{} and {loss}", scores.loss);
}
