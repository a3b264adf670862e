//! Entities: span scores against transformers (`scripts/reference/span_scores.py`), what they cost, the
//! examples that training sees, and a run that learns to find them.

mod common;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use backbone::{Backbone, Options};
use burn::tensor::{Device, Tensor};
use common::batch::golden_folder;
use ptuning_core::language_model::{Inputs, LanguageModel, Layout, Objective};
use ptuning_core::spans::{Span, SpanRules};
use ptuning_core::template::{BoundTemplate, Template};
use ptuning_core::verbalizer::{Aggregate, LabelWords};
use serde_json::Value;
use tempfile::TempDir;
use trainer::Interrupter;
use trainer::data::Example;
use trainer::evaluate::evaluate;
use trainer::settings::{self, Settings, Split};
use trainer::tagging::{AskedSpans, Sentences, examples};
use trainer::task::Task;
use trainer::train_loop::{End, TrainLoop};

/// A model of the golden numbers with its sentences in its template.
struct Case {
    golden: Value,
    backbone: Backbone,
    rules: SpanRules,
    labels: LabelWords,
    sentences: Vec<Vec<String>>,
    template: BoundTemplate,
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(of).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

impl Case {
    fn all(options: Options) -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/span_scores.json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        list(&golden, |golden| Self::new(golden.clone(), options))
    }

    fn new(golden: Value, options: Options) -> Self {
        let folder = golden_folder(golden["model"].as_str().unwrap());
        let backbone = backbone::load_with(&folder, &Device::flex(), options).unwrap();
        let lm = backbone.model.as_ref();
        let template = Template::parse(golden["template"].as_str().unwrap()).unwrap();
        let (objective, max) = (lm.objective(), lm.max_positions());
        let template = BoundTemplate::bind(template, &backbone.tokenizer, objective, max).unwrap();
        let order = ["city", "state", "none"];
        let words = order.map(|label| {
            let words = list(&golden["labels"][label], |word| (text(word), 1.0));
            (label.to_owned(), words)
        });
        let labels =
            LabelWords::bind(&words, Aggregate::Mean, &template, &backbone.tokenizer).unwrap();
        let rules = SpanRules {
            longest: count(&golden["longest"]),
            none: "none".to_owned(),
            stop_words: list(&golden["stop_words"], text),
        };
        let sentences = list(&golden["sentences"], |sentence| list(&sentence["words"], text));
        Self { golden, backbone, rules, labels, sentences, template }
    }

    fn asked(&self, sentences: &[Vec<String>]) -> AskedSpans {
        let words = sentences.iter().map(Vec::as_slice);
        let (template, tokenizer) = (&self.template, &self.backbone.tokenizer);
        AskedSpans::new(template, tokenizer, &self.rules, words, |_| String::new()).unwrap()
    }
}

#[test]
fn spans_are_scored_and_entities_found_as_transformers_has_them() {
    for options in [Options::default(), Options { fused: false, ..Options::default() }] {
        for case in Case::all(options) {
            let asked = case.asked(&case.sentences);
            for batch_size in [1, 3, 64] {
                let lm = case.backbone.model.as_ref();
                let opinions = asked.opinions(lm, None, &[&case.labels], batch_size);
                let found = asked.found(&opinions[0], 2);
                for (number, sentence) in
                    list(&case.golden["sentences"], Clone::clone).iter().enumerate()
                {
                    let what = format!("{}: {}", case.golden["model"], sentence["words"]);
                    let rows = asked.rows(number, &opinions[0]);
                    let expected = sentence["spans"].as_array().unwrap();
                    assert_eq!(rows.len(), expected.len(), "{what}");
                    for ((span, row), expected) in rows.iter().zip(expected) {
                        let place = Span { start: count(&expected[0]), end: count(&expected[1]) };
                        assert_eq!(*span, place, "{what}");
                        for (a, b) in row.iter().zip(expected[2].as_array().unwrap()) {
                            let b = b.as_f64().unwrap() as f32;
                            assert!((a - b).abs() < 2e-4, "{what}: {a} and {b}");
                        }
                    }
                    let named = found[number].iter().map(|one| {
                        let label = case.labels.labels()[one.label].name.clone();
                        serde_json::json!([one.span.start, one.span.end, label])
                    });
                    let named = Value::Array(named.collect());
                    assert_eq!(named, sentence["entities"], "{what}, batches of {batch_size}");
                }
            }
        }
    }
}

/// A language model that counts what it is asked to compute.
struct Counting<'a> {
    lm: &'a dyn LanguageModel,
    rows: AtomicUsize,
    runs: Mutex<Vec<usize>>,
}

impl LanguageModel for Counting<'_> {
    fn objective(&self) -> Objective {
        self.lm.objective()
    }
    fn vocab_size(&self) -> usize {
        self.lm.vocab_size()
    }
    fn hidden_size(&self) -> usize {
        self.lm.hidden_size()
    }
    fn max_positions(&self) -> usize {
        self.lm.max_positions()
    }
    fn device(&self) -> Device {
        self.lm.device()
    }
    fn shares_prefix(&self) -> bool {
        self.lm.shares_prefix()
    }
    fn word_embeddings(&self) -> Tensor<2> {
        self.lm.word_embeddings()
    }
    fn embed(&self, ids: &[u32]) -> Tensor<2> {
        self.rows.fetch_add(ids.len(), Ordering::Relaxed);
        self.lm.embed(ids)
    }
    fn head_rows(&self, ids: &[u32]) -> Tensor<2> {
        self.lm.head_rows(ids)
    }
    fn encode(&self, inputs: Inputs, layout: &Layout) -> Tensor<2> {
        self.runs.lock().unwrap().push(layout.batch());
        self.lm.encode(inputs, layout)
    }
    fn head(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.lm.head(hidden)
    }
}

/// Sequences and rows that asking about sentences takes, by so many sets of label words.
fn cost(case: &Case, sentences: &[Vec<String>], sets: usize) -> (usize, usize) {
    let lm = case.backbone.model.as_ref();
    let counting = Counting { lm, rows: AtomicUsize::new(0), runs: Mutex::new(Vec::new()) };
    let labels = vec![&case.labels; sets];
    case.asked(sentences).opinions(&counting, None, &labels, 64);
    let sequences = counting.runs.into_inner().unwrap().iter().sum();
    (sequences, counting.rows.into_inner())
}

#[test]
fn cost_is_one_sequence_for_each_distinct_span_whatever_the_labels() {
    for case in Case::all(Options::default()) {
        let asked = case.asked(&case.sentences);
        let spans: usize =
            list(&case.golden["sentences"], |one| one["spans"].as_array().unwrap().len())
                .iter()
                .sum();
        assert_eq!(asked.len(), spans);
        let once = cost(&case, &case.sentences, 1);
        assert_eq!(once, cost(&case, &case.sentences, 3), "labels are compared on the same rows");
        assert!(once.0 <= spans, "{once:?} of {spans}");
    }
    let cases = Case::all(Options::default());
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    // A word that stands twice reads the same twice.
    let repeated = [words("Italy of Italy")];
    assert_eq!(cases[0].asked(&repeated).len(), 3);
    assert_eq!(cost(&cases[0], &repeated, 1).0, 2);
    // Twice the words, about twice the cost, and not four times.
    let names = "Britain Egypt France India Italy Norway";
    let (short, long) = (words(names), words(&format!("{names} The capital is Rome Oslo Cairo")));
    let (few, many) = (cost(&cases[0], &[short], 1).0, cost(&cases[0], &[long], 1).0);
    assert_eq!((few, many), (6 + 5 + 4, 12 + 11 + 10));
}

#[test]
fn a_causal_model_reads_a_sentence_once_for_all_its_spans() {
    let shared = &Case::all(Options::default())[0];
    let apart = &Case::all(Options { share_prefix: false, ..Options::default() })[0];
    let sentences = &shared.sentences[..3];
    let (once, each) = (cost(shared, sentences, 1), cost(apart, sentences, 1));
    assert_eq!(once.0, each.0);
    assert!(2 * once.1 < each.1, "{} rows, and {} without sharing", once.1, each.1);
    let lm = |case: &Case| {
        let lm = case.backbone.model.as_ref();
        case.asked(sentences).opinions(lm, None, &[&case.labels], 64).concat().concat()
    };
    for (a, b) in lm(shared).iter().zip(lm(apart)) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
}

const ROWS: [&str; 4] = [
    r#"{"tokens": ["Paris", "is", "the", "capital", "of", "France", "."], "entities": [{"start": 0, "end": 1, "label": "city"}, {"start": 5, "end": 6, "label": "state"}]}"#,
    r#"{"tokens": ["The", "capital", "of", "Italy", "is", "Rome"], "entities": ["O", "O", "O", "B-state", "O", "B-city"]}"#,
    r#"{"tokens": ["Egypt", "is", "the", "capital"], "entities": [{"start": 0, "end": 1, "label": "state"}]}"#,
    r#"{"tokens": ["The", "capital", "is", "the", "capital"], "entities": []}"#,
];

/// A folder with a task for the tiny Llama; runs go there too.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for split in ["train", "dev", "test"] {
        let path = folder.path().join(split).with_extension("jsonl");
        std::fs::write(path, ROWS.join("\n") + "\n").unwrap();
    }
    let config = format!(
        "name = \"entities\"\nruns = {:?}\n[backbone]\nsource = {:?}\n[data]\npath = {:?}\n\
         [spans]\nlongest = 2\nnegatives = 1\n[template]\ntext = \"[x] [h:2] [x:span] [h:2] [z]\"\n\
         [verbalizer.labels]\ncity = [\"Paris\", \"Rome\"]\nstate = [\"London\"]\nnone = [\"Oslo\"]\n\
         [prompt_encoder]\nkind = \"direct\"\n[train]\nlr = 5e-2\nepochs = 60\nbatch_size = 4\n\
         [eval]\nmanual = \"[x] [x:span] is [z]\"\n",
        folder.path().join("runs"),
        golden_folder("tiny_llama"),
        folder.path(),
    );
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

fn settings(folder: &TempDir, overrides: &[&str]) -> Settings {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    settings::load(&folder.path().join("config.toml"), &overrides).unwrap()
}

fn task(folder: &TempDir, overrides: &[&str]) -> Task {
    let backbone = backbone::load(&golden_folder("tiny_llama"), &Device::flex()).unwrap();
    Task::load(settings(folder, overrides), backbone).unwrap()
}

fn train_examples(folder: &TempDir, overrides: &[&str]) -> Vec<Example> {
    let settings = settings(folder, overrides);
    let spans = settings.spans.clone().unwrap();
    Sentences::load(&settings, &spans).unwrap().examples(&spans, settings.seed).train
}

#[test]
fn training_sees_every_entity_and_some_spans_that_are_none() {
    let folder = folder();
    let found = train_examples(&folder, &[]);
    let named = |label: &str| found.iter().filter(|example| example.answer == label).count();
    assert_eq!((named("city"), named("state"), named("none")), (2, 3, 5));
    assert_eq!(found, examples(&settings(&folder, &[]), Split::Train).unwrap());
    for example in &found {
        let (sentence, span) = (&example.fields["x"], &example.fields["span"]);
        assert!(sentence.contains(span.as_str()), "{example:?}");
        let is_name = ["Paris", "France", "Italy", "Rome", "Egypt"].contains(&span.as_str());
        assert_eq!(example.answer == "none", !is_name, "{example:?}");
        assert!(!span.starts_with("of") && !span.ends_with('.'), "{example:?}");
    }
    assert!(found.is_sorted_by_key(|example| example.line));
    let other = |overrides: &[&str]| train_examples(&folder, overrides);
    assert_eq!(other(&["seed=0"]), found);
    assert_ne!(other(&["seed=1"]), found);
    assert_eq!(other(&["spans.negatives=0"]).len(), 5);
    // All there are.
    let all = other(&["spans.negatives=1e9"]);
    assert_eq!(all, other(&["spans.negatives=1e9", "seed=5"]).as_slice());
    assert_eq!(all.len(), 5 + 9);
}

#[test]
fn few_sentences_have_so_many_entities_of_each_label() {
    let folder = folder();
    let settings = settings(&folder, &["data.shots=1"]);
    let spans = settings.spans.clone().unwrap();
    let few = Sentences::load(&settings, &spans).unwrap();
    for label in ["city", "state"] {
        let entities = few.train.iter().flat_map(|sentence| &sentence.entities);
        let count = entities.filter(|entity| entity.label == label).count();
        assert!((1..=2).contains(&count), "{count} of {label}");
    }
    assert!(few.train.len() < ROWS.len() && few.test.unwrap().len() == ROWS.len());
}

#[test]
fn a_prompt_learns_to_find_entities_and_dev_chooses_by_their_f1() {
    let folder = folder();
    let task = task(&folder, &[]);
    let untrained = evaluate(&task, None, Split::Test).unwrap();
    let tagging = untrained.tagging.as_ref().unwrap();
    assert_eq!((tagging.sentences, tagging.entities, tagging.out_of_reach), (4, 5, 0));
    // Train is test here, so its names are all there is to know.
    assert_eq!(tagging.lookup.micro.f1, 1.0);
    let before = tagging.manual.as_ref().unwrap().micro.f1;

    let run = common::run_dir(&task);
    let mut training = TrainLoop::new(&task).unwrap();
    let end = training.run(&run, &Interrupter::new(), &mut ()).unwrap();
    assert_eq!(end, End::Finished);
    let best = trainer::checkpoint::Checkpoint::load(&run.best()).unwrap();
    let prompt =
        trainer::prompt::Prompt::from_checkpoint(&best, &run.best(), &task.backbone).unwrap();
    assert_eq!(prompt.spans, task.settings.spans.as_ref().map(|spans| spans.rules.clone()));
    let evaluation = evaluate(&task, Some(&prompt), Split::Dev).unwrap();
    let found = evaluation.tagging.unwrap().prompt.unwrap().micro.f1;
    assert!(found > before && found > 0.7, "{before} → {found}");
    // The best epoch is the one of the highest entity F1 on dev.
    let (_, dev) = best.header.position.best.unwrap();
    assert_eq!(dev.entity_f1, Some(found));
    let metrics = std::fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
    let f1 = metrics.lines().filter_map(|line| {
        serde_json::from_str::<Value>(line).unwrap()["dev"]["entity_f1"].as_f64()
    });
    assert_eq!(f1.fold(0.0, f64::max), found);
}
