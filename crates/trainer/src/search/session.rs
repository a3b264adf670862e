//! A search between two evaluations: what it may still do, and what it already knows.

use std::time::Instant;

use ptuning_core::objective::Scores;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::error::SearchError;
use super::journal::{Journal, On, Record};
use super::leaderboard::{Leaderboard, better};
use super::options::SearchOptions;
use super::trials::{self, Trial};
use super::words::Wording;
use super::{SearchEnd, judge};
use crate::Interrupter;
use crate::checkpoint::check_identity;
use crate::error::Error;
use crate::evaluate::manual_template;
use crate::progress::{Event, Observer};
use crate::run_dir::RunDir;
use crate::settings::Split;
use crate::task::{Item, Task};

/// Streams of random numbers, one for each use, so that one does not move the others.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    /// Which examples judge.
    Examples = 1,
    /// Which edits are tried.
    Edits,
    /// Which batch a step sees.
    Batches,
    /// Which layouts begin.
    Layouts,
}

/// Random numbers of a seed, of a use and of a step.
pub(super) fn random(seed: u64, stream: Stream, step: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((stream as u64) << 32 | step as u64);
    rng
}

/// Why a method stops proposing.
#[derive(Debug)]
pub enum Halt {
    /// It was told to.
    Ended(SearchEnd),
    /// It cannot go on.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A search that is under way.
pub struct Search<'a> {
    pub(super) task: &'a mut Task,
    pub(super) run: &'a RunDir,
    pub(super) interrupter: &'a Interrupter,
    pub(super) observer: &'a mut dyn Observer,
    options: &'a SearchOptions,
    journal: Journal,
    manual: String,
    /// The examples that the manual prompt can be judged on, which are those that judge every candidate.
    dev: Vec<Item>,
    train: Vec<Item>,
    /// At most so many evaluations will be made, as far as the method knows.
    expected: Option<usize>,
    /// What was trained, here or before.
    pub(super) trials: Vec<Trial>,
}

impl<'a> Search<'a> {
    /// Opens a search.
    ///
    /// # Errors
    /// A run folder of another backbone, a manual prompt that cannot be asked anything.
    pub fn open(
        task: &'a mut Task,
        options: &'a SearchOptions,
        run: &'a RunDir,
        interrupter: &'a Interrupter,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, Error> {
        let hint = "set backbone.source of its config.toml to the backbone that it was begun with";
        check_identity(run.path(), &run.info()?.backbone, &task.backbone.identity, hint)?;
        let (template, manual) = manual(task)?;
        let verbalizer = task.verbalizer(&template)?;
        let (dev, _) = task.encode(Split::Dev, &template, &verbalizer)?;
        if let Some(examples) = options.examples {
            let kept = sample(dev, task.settings.seed, examples);
            let example = |item: Item| task.data.dev[item.index].clone();
            task.data.dev = kept.into_iter().map(example).collect();
        }
        let (dev, _) = task.encode(Split::Dev, &template, &verbalizer)?;
        let (train, _) = task.encode(Split::Train, &template, &verbalizer)?;
        let journal = Journal::open(run)?;
        let expected = options.limits.budget;
        Ok(Self {
            task,
            run,
            interrupter,
            observer,
            options,
            journal,
            manual,
            dev,
            train,
            expected,
            trials: Vec::new(),
        })
    }

    /// The prompt that was there before, in words.
    ///
    /// # Errors
    /// None for a prompt that was bound.
    pub(super) fn manual_wording(&self) -> Result<Wording, Error> {
        manual_wording(&self.manual)
    }

    /// Usable examples of train.
    pub(super) fn train(&self) -> &[Item] {
        &self.train
    }

    /// Says how many evaluations there will be at most.
    pub(super) fn expect(&mut self, evaluations: usize) {
        self.expected = Some(self.options.limits.budget.unwrap_or(usize::MAX).min(evaluations));
    }

    /// A candidate's scores on dev; `None` if it cannot be used.
    ///
    /// # Errors
    /// Anything that ends the search.
    pub fn score(&mut self, template: &str) -> Result<Option<Scores>, Halt> {
        self.evaluate(template, On::Dev, |search| {
            Ok(judge(search.task, template, Split::Dev, &search.dev)?)
        })
    }

    /// Scores the manual prompt, which has to be usable.
    ///
    /// # Errors
    /// Anything that ends the search.
    pub(super) fn score_manual(&mut self) -> Result<Scores, Halt> {
        let manual = self.manual.clone();
        match self.score(&manual)? {
            Some(scores) => Ok(scores),
            None => Err(SearchError::NoManual.into()),
        }
    }

    /// Scores candidates one after the other.
    ///
    /// # Errors
    /// Anything that ends the search.
    pub(super) fn score_all(&mut self, templates: &[String]) -> Result<(), Halt> {
        let unknown = |template: &&String| self.journal.scores(template, On::Dev).is_none();
        let unknown = templates.iter().filter(unknown).count();
        self.expect(self.journal.evaluations() + unknown);
        templates.iter().try_for_each(|template| self.score(template).map(|_| ()))
    }

    /// A candidate's scores on examples of train, by their indices.
    ///
    /// # Errors
    /// Anything that ends the search.
    pub(super) fn score_batch(
        &mut self,
        template: &str,
        step: usize,
        batch: &[usize],
    ) -> Result<Option<Scores>, Halt> {
        self.evaluate(template, On::Batch(step), |search| {
            let drawn = |item: &&Item| batch.contains(&item.index);
            let items: Vec<Item> = search.train.iter().filter(drawn).cloned().collect();
            Ok(judge(search.task, template, Split::Train, &items)?)
        })
    }

    /// One evaluation, remembered or made. One that fails makes its candidate unusable.
    ///
    /// # Errors
    /// Anything that ends the search.
    pub(super) fn evaluate(
        &mut self,
        template: &str,
        on: On,
        judge: impl FnOnce(&mut Self) -> Result<Scores, Halt>,
    ) -> Result<Option<Scores>, Halt> {
        if let Some(known) = self.journal.scores(template, on) {
            return Ok(known);
        }
        self.may_go_on()?;
        let started = Instant::now();
        let template = template.to_owned();
        match judge(self) {
            Ok(scores) => {
                let seconds = started.elapsed().as_secs_f64();
                let record = Record::Scored { template: template.clone(), on, scores, seconds };
                self.journal.add(record)?;
                let (done, of) = (self.journal.evaluations(), self.expected);
                let template = &template;
                self.observer.on(&Event::Candidate { template, scores: &scores, done, of });
                Ok(Some(scores))
            }
            Err(Halt::Failed(error)) if is_of_the_candidate(&error) => {
                let why = error.to_string();
                self.journal.add(Record::Unusable { template, on, why })?;
                Ok(None)
            }
            Err(halt) => Err(halt),
        }
    }

    /// What a step proposes, remembered or found.
    ///
    /// # Errors
    /// Anything that ends the search.
    pub(super) fn proposals(
        &mut self,
        step: &str,
        find: impl FnOnce(&mut Self) -> Result<Vec<String>, Halt>,
    ) -> Result<Vec<String>, Halt> {
        if let Some(known) = self.journal.proposals(step) {
            return Ok(known.to_vec());
        }
        self.may_go_on()?;
        let proposals = find(self)?;
        let record = Record::Proposed { step: step.to_owned(), proposals: proposals.clone() };
        self.journal.add(record)?;
        Ok(proposals)
    }

    /// Whether budget, time and Ctrl-C allow another evaluation.
    pub(super) fn may_go_on(&self) -> Result<(), Halt> {
        let limits = &self.options.limits;
        if self.interrupter.should_stop() {
            return Err(Halt::Ended(SearchEnd::Interrupted));
        }
        if limits.budget.is_some_and(|budget| self.journal.evaluations() >= budget) {
            return Err(Halt::Ended(SearchEnd::Budget));
        }
        if limits.seconds.is_some_and(|seconds| self.journal.seconds() >= seconds) {
            return Err(Halt::Ended(SearchEnd::Seconds));
        }
        Ok(())
    }

    /// What was found so far.
    pub fn leaderboard(&self) -> Leaderboard {
        let method = self.options.method.name();
        let evaluations = self.journal.evaluations();
        Leaderboard::of(method, evaluations, self.journal.records(), &self.manual)
    }

    /// Scores winner and manual prompt on test, if there is a test split.
    ///
    /// # Errors
    /// A trained winner whose checkpoint is gone.
    pub fn judge_on_test(&mut self, leaderboard: &mut Leaderboard) -> Result<(), Error> {
        if self.task.data.test.is_none() {
            return Ok(());
        }
        let (template, _) = manual(self.task)?;
        let verbalizer = self.task.verbalizer(&template)?;
        let (judged, _) = self.task.encode(Split::Test, &template, &verbalizer)?;
        let winner = leaderboard.winner().map(|winner| winner.template.clone());
        for entry in &mut leaderboard.entries {
            if !entry.manual && winner.as_ref() != Some(&entry.template) {
                continue;
            }
            let (split, examples) = (Split::Test, judged.len());
            self.observer.on(&Event::Evaluating { split, examples });
            let scores = match entry.epochs {
                None => judge(self.task, &entry.template, split, &judged),
                Some(_) => trials::judge(
                    self.task,
                    self.run,
                    &self.trials,
                    &entry.template,
                    split,
                    &judged,
                ),
            };
            entry.test = match scores {
                Err(error) if is_of_the_candidate(&error) => None,
                scores => Some(scores?),
            };
        }
        Ok(())
    }
}

/// The manual prompt, bound.
pub(crate) fn manual(
    task: &Task,
) -> Result<(ptuning_core::template::BoundTemplate, String), Error> {
    if task.sentences.is_some() {
        return Err(SearchError::Spans.into());
    }
    match manual_template(task, true) {
        Err(Error::UntrainedVirtualTokens { setting: "template.text" }) => {
            Err(SearchError::NoManual.into())
        }
        Ok(None) => Err(SearchError::NoManual.into()),
        Ok(Some(manual)) => Ok(manual),
        Err(error) => Err(error),
    }
}

/// The manual prompt in words.
pub(super) fn manual_wording(manual: &str) -> Result<Wording, Error> {
    Wording::parse(manual)
        .map_err(|source| Error::Template { setting: "eval.manual", source: Box::new(source) })
}

/// Some of the items, drawn by a seed, in their order.
pub(crate) fn sample(mut items: Vec<Item>, seed: u64, count: usize) -> Vec<Item> {
    items.shuffle(&mut random(seed, Stream::Examples, 0));
    items.truncate(count);
    items.sort_by_key(|item| item.index);
    items
}

/// Whether it is the candidate that is wrong, and not the search.
pub(crate) fn is_of_the_candidate(error: &Error) -> bool {
    matches!(
        error,
        Error::Template { .. }
            | Error::Bind { .. }
            | Error::Encode { .. }
            | Error::UnmappedField { .. }
            | Error::UntrainedVirtualTokens { .. }
            | Error::LabelWord(_)
            | Error::NoLabelWords { .. }
            | Error::NoExamples { .. }
            | Error::NotFinite { .. }
            | Error::Search(SearchError::OtherExamples { .. })
    )
}

/// The best `keep` of scored candidates, best first, earlier ones before later ones that are as good.
pub(super) fn best<T>(mut scored: Vec<(Scores, T)>, keep: usize) -> Vec<(Scores, T)> {
    scored.sort_by(|(a, _), (b, _)| better(a, b));
    scored.truncate(keep);
    scored
}
