//! TensorBoard's file of a run: what it says, and that a resumed run's is an uninterrupted one's.

mod common;

use std::io::Write;

use common::{StopAfter, folder, run_dir, task};
use trainer::Interrupter;
use trainer::checkpoint::Checkpoint;
use trainer::evaluate::evaluate;
use trainer::prompt::Prompt;
use trainer::run_dir::{Metric, RunDir};
use trainer::settings::Split;
use trainer::tensorboard::{self, Event};
use trainer::train_loop::TrainLoop;

/// The events of a run, every byte of the file accounted for; without what depends on the clock.
fn read(run: &RunDir) -> Vec<Event> {
    let file = std::fs::read(run.path().join(tensorboard::FILE)).unwrap();
    let events = tensorboard::events(&file);
    assert_eq!(events.last().map(|(_, end)| *end), Some(file.len()), "a damaged record");
    let mut events: Vec<Event> = events.into_iter().map(|(event, _)| event).collect();
    assert!(events.iter().all(|event| event.wall_time > 1.7e9));
    assert!(events.remove(0).scalars.is_empty(), "the first record opens the file");
    for event in &mut events {
        event.wall_time = 0.0;
        event.scalars.retain(|(tag, _)| tag != "train/examples_per_second");
    }
    events
}

fn number(event: &Event, tag: &str) -> Option<f32> {
    event.scalars.iter().find(|(known, _)| known == tag).map(|(_, number)| *number)
}

#[test]
fn every_metric_and_the_final_scores_are_there() {
    let folder = folder();
    let task = task(&folder, &["train.schedule=\"linear\""]);
    let run = run_dir(&task);
    TrainLoop::new(&task).unwrap().run(&run, &Interrupter::new(), &mut ()).unwrap();
    let events = read(&run);
    let metrics = std::fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
    let metrics: Vec<Metric> =
        metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), metrics.len());
    for (event, metric) in events.iter().zip(&metrics) {
        let (at, expected) = match metric {
            Metric::Step { step, loss, lr, .. } => {
                (step, vec![("train/loss", loss), ("train/learning_rate", lr)])
            }
            Metric::Epoch { step, train_loss, dev, .. } => (
                step,
                vec![
                    ("train/epoch_loss", train_loss),
                    ("dev/P@1", &dev.precision_at_1),
                    ("dev/P@10", &dev.precision_at_10),
                    ("dev/MRR", &dev.mrr),
                    ("dev/loss", &dev.loss),
                ],
            ),
        };
        assert_eq!(event.step, *at as u64);
        let expected: Vec<_> =
            expected.iter().map(|(tag, number)| ((*tag).to_owned(), **number as f32)).collect();
        assert_eq!(event.scalars, expected);
    }

    let best = Checkpoint::load(&run.best()).unwrap();
    let prompt = Prompt::from_checkpoint(&best, &run.best(), &task.backbone).unwrap();
    let evaluation = evaluate(&task, Some(&prompt), Split::Test).unwrap();
    let scores = evaluation.prompt.unwrap();
    // A run that has come to its end and is resumed judges once more.
    for _ in 0..2 {
        run.write_evaluation(std::slice::from_ref(&evaluation)).unwrap();
    }
    let all = read(&run);
    assert_eq!((all.len(), &all[..events.len()]), (events.len() + 1, &events[..]));
    let last = all.last().unwrap();
    assert_eq!(last.step, best.header.position.step as u64);
    assert_eq!(number(last, "evaluation/test/P@1"), Some(scores.precision_at_1 as f32));
    assert_eq!(number(last, "evaluation/test/loss"), Some(scores.loss as f32));
    assert!(number(last, "evaluation/test/manual/MRR").is_some());
    assert!(number(last, "evaluation/test/majority/P@1").is_some());
    assert_eq!(number(last, "evaluation/test/majority/loss"), None);
}

#[test]
fn a_resumed_run_has_each_step_once() {
    let whole = {
        let folder = folder();
        let task = task(&folder, &[]);
        let run = run_dir(&task);
        TrainLoop::new(&task).unwrap().run(&run, &Interrupter::new(), &mut ()).unwrap();
        read(&run)
    };
    // In the middle of an epoch, at its end, and before the first one is done.
    for stop in [1, 3, 5, 9] {
        let folder = folder();
        let task = task(&folder, &[]);
        let run = run_dir(&task);
        let interrupter = Interrupter::new();
        let mut observer = StopAfter(stop, interrupter.clone());
        TrainLoop::new(&task).unwrap().run(&run, &interrupter, &mut observer).unwrap();
        // A process that died later than it saved leaves steps behind, the last of them cut short.
        run.append(&Metric::Step { epoch: 9, step: 999, loss: 0.0, lr: 0.0 }).unwrap();
        let path = run.path().join(tensorboard::FILE);
        let record = Event { wall_time: 2e9, step: 1000, ..Event::default() }.record();
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&record[..record.len() - 3]).unwrap();
        if stop == 5 {
            // A run of a ptune that wrote no such file.
            std::fs::remove_file(&path).unwrap();
        }

        let mut training = TrainLoop::new(&task).unwrap();
        training.restore(&Checkpoint::load(&run.last()).unwrap(), &run.last()).unwrap();
        run.rewind(training.position()).unwrap();
        training.run(&run, &Interrupter::new(), &mut ()).unwrap();
        assert_eq!(read(&run), whole, "stopped at {stop}");
    }
}
