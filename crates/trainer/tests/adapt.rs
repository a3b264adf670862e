//! Training a language model itself: what a text asks, resume, accumulation, and the folder that comes
//! out of it. That it learns as PyTorch's does is in `family_curves.rs`.

use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use flate2::Compression;
use flate2::write::GzEncoder;
use ptuning_core::language_model::{LanguageModel, Layout, Objective, Tokenize};
use tempfile::TempDir;
use trainer::adapt::{AdaptCheckpoint, Adaptation, ModelCard, Part, Text, export_model};
use trainer::progress::{Event, Observer};
use trainer::run_dir::{Job, Metric, RunDir, RunInfo};
use trainer::settings::{self, AdaptSettings, TextSettings};
use trainer::train_loop::End;
use trainer::{Error, Interrupter};

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbone/tests/golden").join(name)
}

/// Passages of the tiny models' own words, and one that is too long.
fn passages(count: usize) -> String {
    let words = ["paris", "tokyo", "the", "capital", "of", "rome", "is", "madrid"];
    let passage = |index: usize| {
        let length = 3 + index % 4;
        let words = (0..length).map(|at| words[(index * 3 + at * at) % words.len()]);
        words.collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = (0..count - 1).map(passage).collect();
    lines.insert(2, ["rome"; 60].join(" "));
    lines.join("\n\n") + "\n"
}

fn folder(source: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.txt"), passages(24)).unwrap();
    let config = format!(
        "name = \"tiny\"\nruns = {:?}\n[backbone]\nsource = {:?}\n[text]\npath = {:?}\ndev = 6\n\
         max_tokens = 10\n[train]\noptimizer = \"adamw\"\nlr = 3e-3\nepochs = 3\nbatch_size = 4\n\
         schedule = \"cosine\"\nwarmup_steps = 2\nclip_norm = 5.0\n[eval]\nbatch_size = 4\n",
        folder.path().join("runs"),
        tiny(source),
        folder.path().join("text.txt"),
    );
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

fn settings(folder: &TempDir, overrides: &[&str]) -> AdaptSettings {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    settings::load_adapt(&folder.path().join("config.toml"), &overrides).unwrap()
}

fn adaptation(folder: &TempDir, overrides: &[&str]) -> Adaptation {
    let settings = settings(folder, overrides);
    let device = Device::flex();
    let model = backbone::trainable(Path::new(&settings.backbone.source), &device).unwrap();
    Adaptation::new(settings, model, &device).unwrap()
}

fn run_dir(adaptation: &Adaptation) -> RunDir {
    let settings = adaptation.settings();
    let info = RunInfo {
        job: Job::Adapt,
        command: vec!["test".to_owned()],
        version: String::new(),
        device: "flex".to_owned(),
        seed: settings.seed,
        backbone: adaptation.model().identity.clone(),
        started_unix: 0,
    };
    RunDir::create_at(settings.folder(), &settings.to_toml().unwrap(), &info, false).unwrap()
}

/// Losses of all steps and epochs.
fn losses(run: &RunDir) -> Vec<f64> {
    let text = std::fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
    let loss = |line: &str| match serde_json::from_str(line).unwrap() {
        Metric::Step { loss, .. } => loss,
        Metric::Epoch { dev, .. } => dev.loss,
    };
    text.lines().map(loss).collect()
}

fn weights(adaptation: &Adaptation) -> Vec<(String, Vec<f32>)> {
    let data = adaptation.model().parameters.snapshot().into_data();
    data.into_iter().map(|(name, data)| (name, data.iter().collect())).collect()
}

fn whole(folder: &TempDir, overrides: &[&str]) -> (Vec<f64>, Vec<(String, Vec<f32>)>) {
    let mut adaptation = adaptation(folder, overrides);
    let run = run_dir(&adaptation);
    assert_eq!(adaptation.run(&run, &Interrupter::new(), &mut ()).unwrap(), End::Finished);
    (losses(&run), weights(&adaptation))
}

/// Stops a run after so many steps.
struct StopAfter(usize, Interrupter);

impl Observer for StopAfter {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Step { position, .. } = event
            && position.step == self.0
        {
            self.1.stop(Some("test"));
        }
    }
}

#[test]
fn a_resumed_adaptation_equals_an_uninterrupted_one() {
    for source in ["tiny_bert", "tiny_llama_gqa"] {
        let (expected, end) = whole(&folder(source), &[]);
        assert!(expected.last().unwrap() < &(expected[0] - 0.1), "it learns: {expected:?}");
        for stop in [1, 5, 7] {
            let folder = folder(source);
            let mut first = adaptation(&folder, &[]);
            let run = run_dir(&first);
            let interrupter = Interrupter::new();
            let mut observer = StopAfter(stop, interrupter.clone());
            let ended = first.run(&run, &interrupter, &mut observer).unwrap();
            assert_eq!(ended, End::Interrupted, "{source}, {stop}");

            let run = RunDir::open(run.path()).unwrap();
            assert_eq!(run.info().unwrap().job, Job::Adapt);
            assert_eq!(&run.adapt_settings(&[]).unwrap(), first.settings());
            let mut again = adaptation(&folder, &[]);
            again.restore(AdaptCheckpoint::load(&run.last()).unwrap(), &run.last()).unwrap();
            run.rewind(again.position()).unwrap();
            again.run(&run, &Interrupter::new(), &mut ()).unwrap();
            assert_eq!(losses(&run), expected, "{source}, {stop}");
            assert!(weights(&again) == end, "{source}, {stop}");
        }
    }
}

#[test]
fn a_checkpoint_within_an_epoch_is_one_to_go_on_from() {
    let folder = folder("tiny_bert");
    let (expected, end) = whole(&folder, &["name=\"whole\""]);
    let mut first = adaptation(&folder, &["train.save_every=2"]);
    let run = run_dir(&first);
    let interrupter = Interrupter::new();
    // Step 3 is taken and not saved: a process that dies there goes on from step 2.
    struct CopyAt3(PathBuf, PathBuf, Interrupter);
    impl Observer for CopyAt3 {
        fn on(&mut self, event: &Event<'_>) {
            if let Event::Step { position, .. } = event
                && position.step == 3
            {
                std::fs::copy(&self.0, &self.1).unwrap();
                self.2.stop(Some("test"));
            }
        }
    }
    let copy = folder.path().join("copy.safetensors");
    let mut observer = CopyAt3(run.last(), copy.clone(), interrupter.clone());
    first.run(&run, &interrupter, &mut observer).unwrap();
    let checkpoint = AdaptCheckpoint::load(&copy).unwrap();
    assert_eq!(checkpoint.header.position.step, 2);
    let mut again = adaptation(&folder, &["train.save_every=2"]);
    again.restore(checkpoint, &copy).unwrap();
    run.rewind(again.position()).unwrap();
    again.run(&run, &Interrupter::new(), &mut ()).unwrap();
    assert_eq!(losses(&run), expected);
    assert!(weights(&again) == end);
}

#[test]
fn accumulation_equals_one_large_batch() {
    let fixed = ["train.shuffle=false", "train.bucket=false", "train.epochs=1"];
    let first = |extra: &[&str]| {
        let overrides = [&fixed[..], extra].concat();
        let (losses, _) = whole(&folder("tiny_bert"), &overrides);
        losses
    };
    let large = first(&["train.batch_size=6"]);
    let small = first(&["train.batch_size=2", "train.accumulation=3"]);
    assert_eq!(large.len(), small.len());
    for (a, b) in large.iter().zip(&small) {
        assert!((a - b).abs() < 1e-4, "{large:?} and {small:?}");
    }
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let folder = folder("tiny_bert");
    let mut first = adaptation(&folder, &["train.epochs=1"]);
    let run = run_dir(&first);
    first.run(&run, &Interrupter::new(), &mut ()).unwrap();
    let other = format!("backbone.source={:?}", tiny("tiny_roberta"));
    let mut other = adaptation(&folder, &[&other]);
    let before = weights(&other);
    let checkpoint = AdaptCheckpoint::load(&run.last()).unwrap();
    let error = other.restore(checkpoint, &run.last()).unwrap_err().to_string();
    assert!(error.contains("last.safetensors") && error.contains("tiny_bert"), "{error}");
    assert!(weights(&other) == before);
}

#[test]
fn the_folder_that_comes_out_is_a_backbone() {
    for source in ["tiny_bert", "tiny_gpt2", "tiny_gpt_neox", "tiny_gemma3_text"] {
        let folder = folder(source);
        let mut adaptation = adaptation(&folder, &["train.epochs=1"]);
        let run = run_dir(&adaptation);
        adaptation.run(&run, &Interrupter::new(), &mut ()).unwrap();
        let card = ModelCard {
            start: source.to_owned(),
            text: "text.txt".to_owned(),
            passages: 18,
            steps: 5,
            loss: (Some(4.0), 3.0),
            command: "test".to_owned(),
        };
        export_model(&run.model(), adaptation.model(), &card).unwrap();
        let backbone = backbone::load(&run.model(), &Device::flex()).unwrap();
        let start = backbone::load(&tiny(source), &Device::flex()).unwrap();
        assert_ne!(backbone.identity.sha256, start.identity.sha256);
        let text = "paris is the capital";
        assert_eq!(backbone.tokenizer.ids(text), start.tokenizer.ids(text));
        assert_eq!(backbone.tokenizer.special(), start.tokenizer.special());
        let layout = Layout { own: vec![4], answers: vec![(0, 3)], ..Layout::default() };
        let logits = |lm: &dyn LanguageModel| -> Vec<f32> {
            lm.head(lm.encode(lm.embed(&[5, 9, 11, 7]).into(), &layout))
                .into_data()
                .iter()
                .collect()
        };
        let (found, expected) =
            (logits(backbone.model.as_ref()), logits(&adaptation.model().frozen().unwrap()));
        assert_eq!(found, expected, "{source}");
        assert_ne!(found, logits(start.model.as_ref()), "{source} has learned");
        let readme = std::fs::read_to_string(run.model().join("README.md")).unwrap();
        assert!(readme.contains("4.000 → 3.000 nats"), "{readme}");
    }
}

#[test]
fn masks_follow_bert() {
    let backbone = backbone::load(&tiny("tiny_bert"), &Device::flex()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt.gz");
    let mut file = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
    file.write_all(passages(600).as_bytes()).unwrap();
    file.finish().unwrap();
    let settings = TextSettings { path, dev: 100, limit: Some(500), max_tokens: 9, mask: 0.15 };
    let tokenizer = &backbone.tokenizer;
    let text = Text::read(&settings, 3, tokenizer, Objective::Masked, 97, 12).unwrap();
    assert_eq!((text.lengths(Part::Train(0)).len(), text.lengths(Part::Dev).len()), (400, 100));
    assert!((1..500).contains(&text.cut), "{}", text.cut);
    let special = tokenizer.special();
    let mask = special.mask.unwrap();
    let (mut masked, mut other, mut same, mut tokens) = (0, 0, 0, 0);
    for epoch in 0..20 {
        for index in 0..400 {
            let asked = text.asked(Part::Train(epoch), index);
            assert_eq!(asked, text.asked(Part::Train(epoch), index));
            assert!(asked.ids.len() <= 9 && asked.ids.starts_with(&special.prefix));
            assert!(asked.ids.ends_with(&special.suffix));
            assert!(!asked.positions.is_empty() && asked.positions.is_sorted());
            tokens += asked.ids.len() - 2;
            for (&position, &answer) in asked.positions.iter().zip(&asked.answers) {
                assert!((1..asked.ids.len() - 1).contains(&position));
                match asked.ids[position] {
                    id if id == mask => masked += 1,
                    id if id == answer => same += 1,
                    _ => other += 1,
                }
            }
        }
    }
    let chosen = f64::from(masked + other + same);
    // At least one of each passage is asked, which lifts the share of short ones.
    let share = chosen / tokens as f64;
    assert!((0.2..0.3).contains(&share), "{share}");
    let shares = [masked, other, same].map(|count| f64::from(count) / chosen);
    for (share, expected) in shares.into_iter().zip([0.8, 0.1, 0.1]) {
        assert!((share - expected).abs() < 0.02, "{shares:?}");
    }
    assert_ne!(text.asked(Part::Train(0), 0), text.asked(Part::Train(1), 0));
    assert_eq!(text.asked(Part::Dev, 7), text.asked(Part::Dev, 7));
}

#[test]
fn a_causal_model_is_asked_for_every_next_token() {
    let backbone = backbone::load(&tiny("tiny_llama_gqa"), &Device::flex()).unwrap();
    let folder = folder("tiny_llama_gqa");
    let settings = settings(&folder, &[]).text;
    let tokenizer = &backbone.tokenizer;
    let text = Text::read(&settings, 0, tokenizer, Objective::Causal, 97, 64).unwrap();
    let asked = text.asked(Part::Train(0), 3);
    assert_eq!(asked.positions, (0..asked.ids.len() - 1).collect::<Vec<_>>());
    assert_eq!(asked.answers, asked.ids[1..]);
}

#[test]
fn texts_that_cannot_be_used_are_refused() {
    let backbone = backbone::load(&tiny("tiny_bert"), &Device::flex()).unwrap();
    let causal = backbone::load(&tiny("tiny_llama"), &Device::flex()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt");
    let read = |bytes: &[u8], tokenizer: &dyn Tokenize| {
        std::fs::write(&path, bytes).unwrap();
        let path = path.clone();
        let settings = TextSettings { path, dev: 2, limit: None, max_tokens: 9, mask: 0.15 };
        Text::read(&settings, 0, tokenizer, Objective::Masked, 97, 12).unwrap_err()
    };
    let error = read(b"the capital\nof rome\n\xff\n", &backbone.tokenizer).to_string();
    assert!(error.contains("text.txt:3: byte 1"), "{error}");
    let error = read(b"the capital\nof rome\n", &backbone.tokenizer);
    assert!(matches!(error, Error::ShortText { found: 2, dev: 2, .. }), "{error}");
    let error = read(b"\n \n", &backbone.tokenizer).to_string();
    assert!(error.contains("the file is empty"), "{error}");
    let error = read(b"the capital\nof rome\n", &causal.tokenizer);
    assert!(matches!(error, Error::NoMask), "{error}");
    // Cut short, as after a download that broke off.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(passages(600).as_bytes()).unwrap();
    let whole = gzip.finish().unwrap();
    let error = read(&whole[..whole.len() / 2], &backbone.tokenizer).to_string();
    assert!(error.contains("cannot read") && error.contains("text.txt"), "{error}");
}
