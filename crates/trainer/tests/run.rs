//! Whole runs on the tiny task: determinism, resume, checkpoints, evaluation, export.

mod common;

use common::{StopAfter, folder, run_dir, task};
use ptuning_core::template::Fields;
use trainer::checkpoint::{Checkpoint, CheckpointError};
use trainer::evaluate::evaluate;
use trainer::export::{PromptFile, export_safetensors};
use trainer::inspect::{encoding, nearest_words};
use trainer::predict::predict;
use trainer::prompt::Prompt;
use trainer::run_dir::{Metric, RunDir};
use trainer::settings::Split;
use trainer::task::Task;
use trainer::train_loop::{End, TrainLoop};
use trainer::{Error, Interrupter};

fn best_prompt(task: &Task, run: &RunDir) -> Prompt {
    let checkpoint = Checkpoint::load(&run.best()).unwrap();
    Prompt::from_checkpoint(&checkpoint, &run.best(), &task.backbone).unwrap()
}

fn metrics(run: &RunDir) -> Vec<Metric> {
    let text = std::fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
    let mut metrics: Vec<Metric> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // How long it took is not part of what has to be equal.
    for metric in &mut metrics {
        if let Metric::Epoch { examples_per_second, seconds, .. } = metric {
            (*examples_per_second, *seconds) = (0.0, 0.0);
        }
    }
    metrics
}

fn train(overrides: &[&str]) -> (Vec<Metric>, Checkpoint) {
    let folder = folder();
    let task = task(&folder, overrides);
    let run = run_dir(&task);
    let end = TrainLoop::new(&task).unwrap().run(&run, &Interrupter::new(), &mut ()).unwrap();
    assert_eq!(end, End::Finished);
    (metrics(&run), Checkpoint::load(&run.last()).unwrap())
}

#[test]
fn a_seed_gives_one_run_and_training_learns() {
    let (first, checkpoint) = train(&["train.epochs=12"]);
    let (second, again) = train(&["train.epochs=12"]);
    assert_eq!(first, second);
    assert_eq!(checkpoint.encoder, again.encoder);
    let (other, _) = train(&["train.epochs=12", "seed=1"]);
    assert_ne!(first, other);
    let losses: Vec<f64> = first
        .iter()
        .filter_map(|metric| match metric {
            Metric::Epoch { train_loss, .. } => Some(*train_loss),
            Metric::Step { .. } => None,
        })
        .collect();
    assert_eq!(losses.len(), 12);
    assert!(losses[11] < losses[0] * 0.8, "{losses:?}");
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let options = [
        "train.schedule=\"cosine\"",
        "train.warmup_steps=3",
        "train.clip_norm=1.0",
        "train.optimizer=\"adamw\"",
    ];
    let (whole, checkpoint) = train(&options);
    // In the middle of an epoch, at its end, and before the first epoch is done.
    for stop in [1, 3, 5, 9] {
        let folder = folder();
        let task = task(&folder, &options);
        let run = run_dir(&task);
        let interrupter = Interrupter::new();
        let mut observer = StopAfter(stop, interrupter.clone());
        let end = TrainLoop::new(&task).unwrap().run(&run, &interrupter, &mut observer).unwrap();
        assert_eq!(end, End::Interrupted, "stopped at {stop}");
        // A process that died later than it saved leaves metrics behind.
        let stray = Metric::Step { epoch: 9, step: 999, loss: 0.0, lr: 0.0 };
        run.append(&stray).unwrap();

        let run = RunDir::open(run.path()).unwrap();
        assert_eq!(run.settings(&[]).unwrap(), task.settings);
        let mut training = TrainLoop::new(&task).unwrap();
        training.restore(&Checkpoint::load(&run.last()).unwrap(), &run.last()).unwrap();
        run.rewind(training.position()).unwrap();
        let end = training.run(&run, &Interrupter::new(), &mut ()).unwrap();
        assert_eq!(end, End::Finished);
        assert_eq!(metrics(&run), whole, "stopped at {stop}");
        let last = Checkpoint::load(&run.last()).unwrap();
        assert_eq!(last.encoder, checkpoint.encoder);
        assert_eq!(last.optimizer, checkpoint.optimizer);
    }
}

#[test]
fn accumulation_equals_one_large_batch() {
    let losses = |overrides: &[&str]| {
        let metrics = train(overrides).0;
        let epochs = metrics.into_iter().filter_map(|metric| match metric {
            Metric::Epoch { train_loss, .. } => Some(train_loss),
            Metric::Step { .. } => None,
        });
        epochs.collect::<Vec<f64>>()
    };
    let common = ["train.shuffle=false", "train.bucket=false"];
    let large = losses(&[common[0], common[1], "train.batch_size=6"]);
    let small = losses(&[common[0], common[1], "train.batch_size=2", "train.accumulation=3"]);
    for (a, b) in large.iter().zip(&small) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
}

#[test]
fn early_stopping_waits_for_its_patience() {
    let folder = folder();
    let task = task(&folder, &["train.lr=1e-12", "train.patience=2", "train.epochs=50"]);
    let run = run_dir(&task);
    let end = TrainLoop::new(&task).unwrap().run(&run, &Interrupter::new(), &mut ()).unwrap();
    assert_eq!(end, End::Stopped);
    let checkpoint = Checkpoint::load(&run.last()).unwrap();
    let epochs = checkpoint.header.position.epoch;
    assert!(checkpoint.header.position.stopped && epochs < 50);
    // Resumed, it is still at its end; with more patience it goes on.
    let mut training = TrainLoop::new(&task).unwrap();
    training.restore(&checkpoint, &run.last()).unwrap();
    assert_eq!(training.run(&run, &Interrupter::new(), &mut ()).unwrap(), End::Stopped);
    assert_eq!(training.position().epoch, epochs);
    let patient = common::task(&folder, &["train.lr=1e-12", "train.patience=4", "train.epochs=50"]);
    let mut training = TrainLoop::new(&patient).unwrap();
    training.restore(&checkpoint, &run.last()).unwrap();
    assert_eq!(training.run(&run, &Interrupter::new(), &mut ()).unwrap(), End::Stopped);
    assert_eq!(training.position().epoch, epochs + 2);
}

#[test]
fn a_loss_that_is_no_number_stops_with_its_cause() {
    let folder = folder();
    let task = task(&folder, &["train.lr=1e38", "train.epochs=9"]);
    let run = run_dir(&task);
    let mut training = TrainLoop::new(&task).unwrap();
    let error = training.run(&run, &Interrupter::new(), &mut ()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 2.., .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("diverged") && text.contains("lower train.lr"), "{text}");
    assert!(Checkpoint::load(&run.last()).is_ok());
}

#[test]
fn an_existing_run_is_not_overwritten() {
    let folder = folder();
    let task = task(&folder, &[]);
    let run = run_dir(&task);
    let error = RunDir::check_free(&task.settings, false).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }));
    // Even when asked to, nothing but a run is removed.
    std::fs::remove_file(run.path().join("run.json")).unwrap();
    std::fs::write(run.path().join("thesis.tex"), "years of work").unwrap();
    assert!(RunDir::check_free(&task.settings, true).is_err());
    assert!(run.path().join("thesis.tex").is_file());
}

#[test]
fn checkpoints_refuse_what_they_do_not_fit() {
    let folder = folder();
    let task = task(&folder, &["train.epochs=1"]);
    let run = run_dir(&task);
    TrainLoop::new(&task).unwrap().run(&run, &Interrupter::new(), &mut ()).unwrap();
    let checkpoint = Checkpoint::load(&run.last()).unwrap();

    let mut foreign = checkpoint.clone();
    foreign.header.backbone.sha256 = "0".repeat(64);
    let error = Prompt::from_checkpoint(&foreign, &run.last(), &task.backbone).unwrap_err();
    assert!(error.to_string().contains("trained on"), "{error}");

    let wider = common::task(&folder, &["prompt_encoder.hidden=12"]);
    let error = TrainLoop::new(&wider).unwrap().restore(&checkpoint, &run.last()).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Differs { .. })), "{error}");
    // An MLP's parameters are all there in an LSTM's checkpoint.
    let other = common::task(&folder, &["prompt_encoder.kind=\"mlp\""]);
    let error = TrainLoop::new(&other).unwrap().restore(&checkpoint, &run.last()).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Differs { .. })), "{error}");

    let mut cut = checkpoint.clone();
    cut.encoder.remove("mlp.first.weight");
    let error = TrainLoop::new(&task).unwrap().restore(&cut, &run.last()).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Parameter { .. })), "{error}");

    let mut newer = checkpoint.clone();
    newer.header.format = 99;
    newer.save(&run.last()).unwrap();
    let error = Checkpoint::load(&run.last()).unwrap_err();
    assert!(matches!(error, CheckpointError::Format { found: 99, .. }), "{error}");

    let bytes = std::fs::read(run.best()).unwrap();
    for length in (0..bytes.len()).step_by(bytes.len() / 60 + 1) {
        std::fs::write(run.last(), &bytes[..length]).unwrap();
        assert!(Checkpoint::load(&run.last()).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn evaluation_counts_what_it_drops_and_compares_the_same_examples() {
    let folder = folder();
    let extra = "{\"x\": \"Norway\", \"z\": \"Oslo Oslo\"}\n";
    let test = folder.path().join("test.jsonl");
    let rows = std::fs::read_to_string(&test).unwrap();
    std::fs::write(&test, rows + extra).unwrap();
    let task = task(&folder, &["train.epochs=1"]);
    let run = run_dir(&task);
    TrainLoop::new(&task).unwrap().run(&run, &Interrupter::new(), &mut ()).unwrap();
    let prompt = best_prompt(&task, &run);
    let evaluation = evaluate(&task, Some(&prompt), Split::Test).unwrap();
    assert_eq!((evaluation.counts.read, evaluation.counts.used), (4, 3));
    assert_eq!(evaluation.counts.several_tokens, 1);
    assert_eq!(evaluation.candidates, Some(6));
    assert_eq!(evaluation.prompt.unwrap().examples, 3);
    assert_eq!(evaluation.manual.unwrap().examples, 3);
    let alone = evaluate(&task, None, Split::Test).unwrap();
    assert_eq!(alone.manual, evaluation.manual);
    assert_eq!(alone.prompt, None);
    // Six different train answers, each once: the majority is right for one of three at best.
    assert!(evaluation.majority.precision_at_1 <= 0.34);
}

#[test]
fn an_export_answers_as_the_run_does() {
    let folder = folder();
    let task = task(&folder, &["train.epochs=1"]);
    let run = run_dir(&task);
    TrainLoop::new(&task).unwrap().run(&run, &Interrupter::new(), &mut ()).unwrap();
    let prompt = best_prompt(&task, &run);
    let file = folder.path().join("prompt.safetensors");
    export_safetensors(&file, &prompt, &task.backbone, "somewhere").unwrap();
    let bytes = std::fs::read(&file).unwrap();
    for _ in 0..4 {
        export_safetensors(&file, &prompt, &task.backbone, "somewhere").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "the same prompt gives the same bytes");
    }
    let export = PromptFile::load(&file).unwrap();
    assert_eq!(export.backbone_source, "somewhere");
    let back = export.prompt(&task.backbone, &file).unwrap();
    let inputs = [Fields::from([("x".to_owned(), "Britain".to_owned())])];
    let answers = |prompt| predict(&task.backbone, prompt, &inputs, 6, 4).unwrap();
    assert_eq!(answers(&prompt), answers(&back));
    let sum: f32 = answers(&back)[0].answers.iter().map(|answer| answer.probability).sum();
    assert!((sum - 1.0).abs() < 1e-5);

    let mut other = export.clone();
    other.backbone.sha256 = "0".repeat(64);
    assert!(other.prompt(&task.backbone, &file).is_err());
    std::fs::write(&file, b"not a prompt").unwrap();
    assert!(PromptFile::load(&file).is_err());
}

#[test]
fn inspection_knows_every_position_and_the_nearest_words() {
    let folder = folder();
    // Vectors that start as words and hardly move must resemble these words.
    let options = [
        "prompt_encoder.kind=\"direct\"",
        "prompt_encoder.init=\"words\"",
        "prompt_encoder.words=\"London Paris\"",
        "train.lr=1e-9",
        "train.epochs=1",
    ];
    let task = task(&folder, &options);
    let run = run_dir(&task);
    TrainLoop::new(&task).unwrap().run(&run, &Interrupter::new(), &mut ()).unwrap();
    let prompt = best_prompt(&task, &run);
    let words = nearest_words(&task.backbone, &prompt, 3);
    assert_eq!(words.len(), 4);
    assert_eq!(words[0].cosine[0].token, "ĠLondon");
    assert_eq!(words[1].cosine[0].token, "ĠParis");
    assert!((words[0].cosine[0].value - 1.0).abs() < 1e-4);
    let fields = Fields::from([("x".to_owned(), "Britain".to_owned())]);
    let positions = encoding(&task.backbone, &prompt, &fields).unwrap();
    let roles: Vec<&str> = positions.iter().map(|position| position.role).collect();
    assert_eq!(roles[..4], ["virtual", "virtual", "anchor", "anchor"]);
    assert_eq!(roles.iter().filter(|role| **role == "virtual").count(), 4);
    assert!(positions.last().unwrap().predicts);
    assert_eq!(positions.iter().filter(|position| position.predicts).count(), 1);
}
