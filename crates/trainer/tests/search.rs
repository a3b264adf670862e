//! Searches on the tiny task: what they propose, that they go on to where they would have come, and that they
//! score nothing twice.

mod common;

use std::collections::HashSet;
use std::path::Path;

use common::{folder, task};
use tempfile::TempDir;
use trainer::progress::{Event, Observer};
use trainer::run_dir::{Job, RunDir, RunInfo};
use trainer::search::{
    EditOptions, GradientOptions, Halt, Journal, Leaderboard, Limits, Method, MineOptions, Miner,
    ParaphraseOptions, Phrases, PromptsOptions, Record, SearchEnd, SearchOptions, Wording, begin,
    options_of, prepare, search,
};
use trainer::task::Task;
use trainer::{Error, Interrupter};

/// Stops a search after so many candidates.
struct StopAfter(usize, Interrupter);

impl Observer for StopAfter {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Candidate { done, .. } = event
            && *done == self.0
        {
            self.1.stop(Some("test"));
        }
    }
}

/// Stops a search in the midst of a training, at its so-and-so-many-th optimiser step of all.
struct StopAtStep(usize, Interrupter);

impl Observer for StopAtStep {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Step { .. } = event {
            self.0 -= 1;
            if self.0 == 0 {
                self.1.stop(Some("test"));
            }
        }
    }
}

fn options(method: Method) -> SearchOptions {
    SearchOptions { method, examples: Some(3), limits: Limits::default() }
}

fn new_run(task: &Task, options: &SearchOptions) -> Result<RunDir, Error> {
    let found = prepare(task, options, &Interrupter::new())?.unwrap();
    let info = RunInfo {
        job: Job::Search,
        command: vec!["test".to_owned()],
        version: String::new(),
        device: "flex".to_owned(),
        seed: task.settings.seed,
        backbone: task.backbone.identity.clone(),
        started_unix: 0,
    };
    let run = RunDir::create(&task.settings, &info, true)?;
    begin(&run, options, found)?;
    Ok(run)
}

fn go_on(
    folder: &TempDir,
    run: &RunDir,
    limits: Limits,
    interrupter: &Interrupter,
    observer: &mut dyn Observer,
) -> (SearchEnd, Leaderboard) {
    let options = SearchOptions { limits, ..options_of(run).unwrap() };
    search(&mut task(folder, &[]), &options, run, interrupter, observer).unwrap()
}

fn whole(folder: &TempDir, options: &SearchOptions) -> (SearchEnd, Leaderboard, RunDir) {
    let run = new_run(&task(folder, &[]), options).unwrap();
    let (end, found) = go_on(folder, &run, options.limits, &Interrupter::new(), &mut ());
    (end, found, run)
}

/// What was scored, on what, in order; no two alike.
fn scored(run: &RunDir) -> Vec<String> {
    let journal = Journal::open(run).unwrap();
    let key = |record: &Record| match record {
        Record::Scored { template, on, .. } | Record::Unusable { template, on, .. } => {
            Some(format!("{template} {on:?}"))
        }
        Record::Proposed { .. } => None,
    };
    let keys: Vec<String> = journal.records().iter().filter_map(key).collect();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "scored twice: {keys:#?}");
    keys
}

const PHRASES: &str = "# a list\ncapital of\tseat of\tcapital city of\n\nis\t=\tis called\twas\n";

fn phrases(folder: &TempDir) -> std::path::PathBuf {
    let file = folder.path().join("phrases.tsv");
    std::fs::write(&file, PHRASES).unwrap();
    file
}

fn corpus(folder: &TempDir) -> std::path::PathBuf {
    let lines = [
        "In summer London is in Britain , and the capital of Britain is London .",
        "They say the capital of France is Paris.",
        "Egypt, whose capital is Cairo , is old.",
        "Norway, whose capital is Oslo.",
        "Norway, whose capital is Oslo.",
        "Indians: Delhi is not what Indian, whose capital is Delhi, means",
        "Italy, whose capital is Delhi",
        "Italy has [brackets] in Rome",
        "India and a great many other words before Delhi",
    ];
    let file = folder.path().join("corpus.txt");
    std::fs::write(&file, lines.join("\n")).unwrap();
    file
}

fn methods(folder: &TempDir) -> Vec<Method> {
    vec![
        Method::Paraphrase(ParaphraseOptions { phrases: phrases(folder), replacements: 2 }),
        Method::Mine(MineOptions { corpus: corpus(folder), keep: 9, between: 6, around: 3 }),
        Method::Gradient(GradientOptions { layout: None, steps: 4, top: 3, batch: 3 }),
        Method::Edit(EditOptions { beam: 2, rounds: 2, edits: 6, words: None, likely: 3 }),
        Method::Prompts(PromptsOptions {
            anchors: Vec::new(),
            tokens: vec![1, 2],
            candidates: 3,
            epochs: 1,
            seeds: 2,
        }),
    ]
}

#[test]
fn a_resumed_search_ends_as_an_uninterrupted_one() {
    let folder = folder();
    for method in methods(&folder) {
        let name = method.name();
        let options = options(method);
        let (end, expected, run) = whole(&folder, &options);
        assert_eq!(end, SearchEnd::Finished, "{name}");
        let expected_keys = scored(&run);
        assert!(expected.evaluations > 5, "{name}: {expected:?}");
        assert!(expected.winner().unwrap().test.is_some(), "{name}: {expected:?}");
        assert!(expected.manual().unwrap().test.is_some(), "{name}: {expected:?}");

        // Stopped after each of several candidates in turn, each time in a new process's shoes.
        let run = new_run(&task(&folder, &[]), &options).unwrap();
        for stop in [1, 2, 5] {
            let interrupter = Interrupter::new();
            let mut observer = StopAfter(stop, interrupter.clone());
            let (end, _) = go_on(&folder, &run, options.limits, &interrupter, &mut observer);
            assert_eq!(end, SearchEnd::Interrupted, "{name}");
            assert_eq!(Journal::open(&run).unwrap().evaluations(), stop, "{name}");
        }
        // A process that died while it wrote leaves half a line.
        let file = run.path().join("search.jsonl");
        let mut text = std::fs::read_to_string(&file).unwrap();
        text += "{\"kind\":\"scored\",\"templ";
        std::fs::write(&file, text).unwrap();
        let (end, found) = go_on(&folder, &run, options.limits, &Interrupter::new(), &mut ());
        assert_eq!(end, SearchEnd::Finished, "{name}");
        assert_eq!(found, expected, "{name}");
        assert_eq!(scored(&run), expected_keys, "{name}");

        // A search that has ended scores nothing more.
        let before = std::fs::read(&file).unwrap();
        let (_, again) = go_on(&folder, &run, options.limits, &Interrupter::new(), &mut ());
        assert_eq!((again, std::fs::read(&file).unwrap()), (found, before), "{name}");
    }
}

#[test]
fn a_budget_is_kept_and_more_of_it_continues() {
    let folder = folder();
    for method in methods(&folder) {
        let name = method.name();
        let all = options(method);
        let (_, expected, _) = whole(&folder, &all);
        let few = Limits { budget: Some(4), seconds: None };
        let (end, found, run) = whole(&folder, &SearchOptions { limits: few, ..all.clone() });
        assert_eq!((end, found.evaluations), (SearchEnd::Budget, 4), "{name}");
        assert!(found.manual().unwrap().test.is_some(), "{name}: the test of what there is");
        let (end, found) = go_on(&folder, &run, all.limits, &Interrupter::new(), &mut ());
        assert_eq!((end, found), (SearchEnd::Finished, expected), "{name}");
    }
    let none = Limits { budget: None, seconds: Some(1e-9) };
    let phrases = ParaphraseOptions { phrases: phrases(&folder), replacements: 1 };
    let options = SearchOptions { limits: none, ..options(Method::Paraphrase(phrases)) };
    let (end, found, _) = whole(&folder, &options);
    assert_eq!((end, found.evaluations), (SearchEnd::Seconds, 1));
}

#[test]
fn a_training_that_is_interrupted_goes_on() {
    let folder = folder();
    let options = options(methods(&folder).pop().unwrap());
    let (_, expected, _) = whole(&folder, &options);
    let run = new_run(&task(&folder, &[]), &options).unwrap();
    // In the first trial's first epoch, and in one that goes on from an earlier rung.
    for step in [2, 19] {
        let interrupter = Interrupter::new();
        let mut observer = StopAtStep(step, interrupter.clone());
        let (end, _) = go_on(&folder, &run, options.limits, &interrupter, &mut observer);
        assert_eq!(end, SearchEnd::Interrupted);
    }
    let (_, found) = go_on(&folder, &run, options.limits, &Interrupter::new(), &mut ());
    assert_eq!(found, expected);
}

#[test]
fn halving_trains_the_better_half_longer() {
    let folder = folder();
    let (_, found, run) = whole(&folder, &options(methods(&folder).pop().unwrap()));
    let count = |epochs: usize| {
        scored(&run).iter().filter(|key| key.contains(&format!("epochs: {epochs},"))).count()
    };
    // 3 layouts, then 2, then 1, with two seeds each.
    assert_eq!((count(1), count(2), count(4)), (6, 4, 2));
    assert_eq!(found.entries[0].epochs.or(found.entries[1].epochs), Some(4));
    let epochs: Vec<Option<usize>> =
        found.entries.iter().filter(|entry| !entry.manual).map(|entry| entry.epochs).collect();
    assert_eq!(epochs, [Some(4), Some(2), Some(1)]);
    let own = task(&folder, &[]).settings.template.text;
    assert!(found.entries.iter().any(|entry| entry.template == own), "the config's own layout");
}

#[test]
fn seeds_give_searches() {
    let edits = |seed: &str| {
        let folder = folder();
        let method = EditOptions { beam: 1, rounds: 2, edits: 5, words: None, likely: 3 };
        let options = options(Method::Edit(method));
        let mut task = task(&folder, &[seed]);
        let run = new_run(&task, &options).unwrap();
        search(&mut task, &options, &run, &Interrupter::new(), &mut ()).unwrap();
        scored(&run)
    };
    assert_eq!(edits("seed=1"), edits("seed=1"));
    assert_ne!(edits("seed=1"), edits("seed=2"));
}

#[test]
fn words_of_a_gradient_search_read_as_they_were_searched() {
    let folder = folder();
    let (_, _, run) = whole(&folder, &options(methods(&folder).remove(2)));
    let task = task(&folder, &[]);
    let templates: HashSet<String> = Journal::open(&run)
        .unwrap()
        .records()
        .iter()
        .filter_map(|record| match record {
            Record::Scored { template, .. } => Some(template.clone()),
            _ => None,
        })
        .filter(|template| template != "The capital of [x] is [z]")
        .collect();
    assert!(templates.len() > 3, "{templates:?}");
    for template in templates {
        assert!(template.contains("capital of [x]") && template.ends_with(" [z]"), "{template}");
        let words = template.replace("[x]", "Norway");
        let bound = task.bind("test", &template).unwrap();
        let fields = [("x".to_owned(), "Norway".to_owned())].into();
        let encoded = bound.encode(&fields, &task.backbone.tokenizer).unwrap();
        // Two triggers on either side, one token each.
        let anchors = {
            let plain = task.bind("test", " capital of [x] [z]").unwrap();
            plain.encode(&fields, &task.backbone.tokenizer).unwrap().ids.len()
        };
        assert_eq!(encoded.ids.len(), anchors + 4, "{words}");
    }
}

#[test]
fn mining_finds_what_stands_between_pairs() {
    let pairs: Vec<(String, String)> =
        common::PAIRS.iter().map(|&(x, z)| (x.to_owned(), z.to_owned())).collect();
    let folder = folder();
    let text = std::fs::read_to_string(corpus(&folder)).unwrap();
    let mined = |causal, between, around| {
        let mut miner = Miner::new(&pairs, "[x]", causal, between, around).unwrap();
        text.lines().for_each(|line| miner.read(line));
        let found = miner.best(100).into_iter();
        found.map(|mined| (mined.template, mined.pairs, mined.times)).collect::<Vec<_>>()
    };
    let expected = [
        ("[x], whose capital is [z]", 2, 3),
        ("[x] is [z]", 2, 2),
        (r"[x] has \[brackets\] in [z]", 1, 1),
    ];
    let found = mined(true, 6, 0);
    let found: Vec<_> =
        found.iter().map(|(t, pairs, times)| (t.as_str(), *pairs, *times)).collect();
    assert_eq!(found, expected);
    let around = mined(true, 6, 3);
    for template in ["of [x] is [z]", "capital of [x] is [z]", "the capital of [x] is [z]"] {
        assert!(around.contains(&(template.to_owned(), 2, 2)), "{template}: {around:?}");
    }
    // Four words between.
    assert!(!mined(true, 2, 0).iter().any(|(t, ..)| t.contains("whose")));
    let masked = mined(false, 6, 1);
    for template in ["[z] is in [x]", "summer [z] is in [x] ,", "[x], whose capital is [z] ,"] {
        assert!(masked.iter().any(|(t, ..)| t == template), "{template}: {masked:?}");
    }
}

#[test]
fn paraphrases_are_all_and_each_once() {
    let folder = folder();
    let phrases = Phrases::read(&phrases(&folder)).unwrap();
    let manual = Wording::parse("The capital of [x] is [z]").unwrap();
    let one = phrases.expand(&manual, 1);
    assert_eq!(
        one,
        [
            "The seat of [x] is [z]",
            "The capital city of [x] is [z]",
            "The capital of [x] = [z]",
            "The capital of [x] is called [z]",
            "The capital of [x] was [z]",
        ]
    );
    let two = phrases.expand(&manual, 2);
    assert_eq!(two[..5], one);
    assert_eq!(two.len(), 5 + 2 * 3);
    assert!(two.contains(&"The capital city of [x] was [z]".to_owned()), "{two:?}");
    assert_eq!(two.iter().collect::<HashSet<_>>().len(), two.len());
}

#[test]
fn what_cannot_be_searched_is_refused_before_anything_is_written() {
    let folder = folder();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let told = |overrides: &[&str], method: Method| {
        let error = new_run(&task(&folder, overrides), &options(method)).unwrap_err();
        assert!(!folder.path().join("runs").exists());
        error.to_string().replace(&folder.path().display().to_string(), "")
    };
    let paraphrase = |phrases: &Path| {
        Method::Paraphrase(ParaphraseOptions { phrases: phrases.to_owned(), replacements: 2 })
    };
    let found = told(&[], paraphrase(&write("one", "is\twas\nof\n")));
    assert!(found.starts_with("/one:2: expected a phrase and its alternatives"), "{found}");
    let found = told(&[], paraphrase(&write("two", "is\t[oops\n")));
    assert!(found.starts_with("/two:1: ") && found.contains("[oops"), "{found}");
    let found = told(&[], paraphrase(&write("three", "mountain\thill\n")));
    assert!(found.contains("expected a phrase of \"The capital of [x] is [z]\""), "{found}");
    let mine = |corpus: &Path| {
        let corpus = corpus.to_owned();
        Method::Mine(MineOptions { corpus, keep: 3, between: 6, around: 1 })
    };
    let found = told(&[], mine(&write("four", "Paris is not Rome\nnor Oslo Norway\n")));
    assert!(found.starts_with("/four: expected passages") && found.contains(" in 2"), "{found}");
    let gradient = |layout: &str| {
        let layout = Some(layout.to_owned());
        Method::Gradient(GradientOptions { layout, steps: 1, top: 3, batch: 2 })
    };
    let found = told(&[], gradient("The capital of [x] is [z]"));
    assert!(found.starts_with("--layout: expected a template with virtual tokens"), "{found}");
    let found = told(&[], gradient("capital[h:2][x] [z]"));
    assert!(found.contains("do not stay what they are"), "{found}");
    let manual = told(&["eval.manual=\"[h] of [x] [z]\""], gradient("[h] [x] [z]"));
    assert!(manual.starts_with("eval.manual: "), "{manual}");
}

#[test]
fn an_error_of_the_search_is_not_a_candidates() {
    let halt: Halt = Error::NothingToLearn.into();
    assert!(matches!(halt, Halt::Failed(Error::NothingToLearn)));
}
