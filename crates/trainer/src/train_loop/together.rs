//! Several tasks in one run: one prompt encoder makes the virtual tokens of all of them. Those that templates
//! tie by the same name are shared, the others are each task's own.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use burn_train::Interrupter;
use ptuning_core::objective::{Scores, ids};
use ptuning_core::prompt_encoder::{EncoderConfig, EncoderKind};
use ptuning_core::template::{BoundTemplate, VirtualToken};
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};

use super::learning::check_template;
use super::prompt::{encoder_config, new_encoder};
use super::{End, Learner, Loop};
use crate::checkpoint::{Checkpoint, CheckpointError, FORMAT, Header, Position};
use crate::error::Error;
use crate::optimizer::Optimizer;
use crate::outcome::outcome;
use crate::parameters;
use crate::progress::Observer;
use crate::prompt::{Prompt, check_backbone};
use crate::prompt_error::PromptError;
use crate::run_dir::RunDir;
use crate::settings::{Settings, Split, Strategy, VerbalizerSettings};
use crate::strategy::{FixedLm, StepOutcome};
use crate::task::{Counts, Item, Task};
use crate::verbalize::prepared;

/// A run that trains the prompts of several tasks together.
pub struct TogetherLoop<'a> {
    learner: Together<'a>,
    state: Loop,
}

/// The tasks with what learns of them all.
struct Together<'a> {
    tasks: &'a [Task],
    parts: Vec<Part>,
    encoder_config: EncoderConfig,
    strategy: FixedLm<'a>,
}

/// One task.
struct Part {
    template: BoundTemplate,
    verbalizer: Verbalizer,
    /// Which vector of the encoder each of its virtual tokens is.
    vectors: Vec<u32>,
    /// Its examples, by the encoder's vectors.
    train: Vec<Item>,
    /// Its examples, by its own.
    dev: Vec<Item>,
    counts: (Counts, Counts),
}

/// What tasks that learn together cannot have.
fn check(settings: &Settings, template: &BoundTemplate) -> Result<(), Error> {
    let name = settings.name.clone();
    let refused = |what| Err(PromptError::NotTogether { name, what }.into());
    let strategy = settings.train.strategy;
    if strategy.is_some_and(|strategy| strategy != Strategy::FixedLm) {
        return refused("a strategy of another name");
    }
    if settings.verbalizer.as_ref().is_some_and(VerbalizerSettings::learns) {
        return refused("a verbalizer that learns");
    }
    if settings.spans.is_some() {
        return refused("entities to find");
    }
    if template.template().prefix() > 0 {
        return refused("a [prefix:…], which cannot be shared in part");
    }
    check_template(strategy, template.prompt_len(), false)
}

/// The virtual tokens of all templates, and for each template which of them its own are.
fn numbered(
    templates: &[(&str, &BoundTemplate)],
) -> Result<(Vec<VirtualToken>, Vec<Vec<u32>>), PromptError> {
    let mut all: Vec<VirtualToken> = Vec::new();
    // By a tie's name: the task that has it first, and its vectors.
    let mut ties: BTreeMap<&str, (&str, Vec<u32>)> = BTreeMap::new();
    let mut numbers = Vec::with_capacity(templates.len());
    for (task, template) in templates {
        let own = template.virtual_tokens();
        let tied = |tie: &str| {
            let of = |token: &&VirtualToken| token.tie.as_ref().is_some_and(|(t, _)| t == tie);
            own.iter().filter(of).count()
        };
        let mut vectors = Vec::with_capacity(own.len());
        for token in own {
            let tie = token.tie.as_ref();
            let shared = tie.and_then(|(tie, place)| Some((tie, *place, ties.get(tie.as_str())?)));
            if let Some((tie, place, (first, shared))) = shared.filter(|(.., (t, _))| t != task) {
                let (expected, found) = (shared.len(), tied(tie));
                if expected != found {
                    let (tie, first, second) = (tie.clone(), (*first).into(), (*task).into());
                    return Err(PromptError::SharedTie { tie, first, second, expected, found });
                }
                let known = &mut all[shared[place] as usize];
                known.start = known.start.or(token.start);
                vectors.push(shared[place]);
                continue;
            }
            let vector = all.len() as u32;
            all.push(VirtualToken { name: format!("h_{vector}"), ..token.clone() });
            vectors.push(vector);
            if let Some((tie, _)) = tie {
                ties.entry(tie).or_insert_with(|| (task, Vec::new())).1.push(vector);
            }
        }
        numbers.push(vectors);
    }
    Ok((all, numbers))
}

impl<'a> TogetherLoop<'a> {
    /// A run at its start. What the prompt encoder is, how it is trained and the seed are the first task's;
    /// all tasks have one backbone.
    ///
    /// # Errors
    /// A template that learns nothing or does not bind, ties of different lengths, data without usable
    /// examples, settings that only a task alone can have.
    pub fn new(tasks: &'a [Task]) -> Result<Self, Error> {
        let first = tasks.first().ok_or(Error::NothingToLearn)?;
        let mut templates = Vec::with_capacity(tasks.len());
        for task in tasks {
            let template = task.bind("template.text", &task.settings.template.text)?;
            check(&task.settings, &template)?;
            templates.push(template);
        }
        let named = tasks.iter().map(|task| task.settings.name.as_str()).zip(&templates);
        let (virtual_tokens, numbers) = numbered(&named.collect::<Vec<_>>())?;
        let encoder_config =
            EncoderConfig { prompt: virtual_tokens.len(), ..encoder_config(first, &templates[0])? };
        let encoder = new_encoder(first, &virtual_tokens, &encoder_config)?;
        let start = encoder.forward().without_autodiff();
        let mut parts = Vec::with_capacity(tasks.len());
        for ((task, template), vectors) in tasks.iter().zip(templates).zip(numbers) {
            let own = start.clone().select(0, ids(&vectors, &start.device()));
            let verbalizer = task.verbalizer(&template)?;
            if let Some(labels) = verbalizer.labels() {
                labels.check_single(&task.backbone.tokenizer)?;
            }
            let verbalizer = prepared(task, &template, Some(&own), verbalizer)?;
            let (mut train, train_counts) = task.encode(Split::Train, &template, &verbalizer)?;
            let (dev, dev_counts) = task.encode(Split::Dev, &template, &verbalizer)?;
            for slot in train.iter_mut().flat_map(|item| &mut item.encoded.slots) {
                slot.virtual_token = vectors[slot.virtual_token] as usize;
            }
            let counts = (train_counts, dev_counts);
            parts.push(Part { template, verbalizer, vectors, train, dev, counts });
        }
        let optimizer = Optimizer::new(&first.settings.train);
        let strategy = FixedLm::new(first.backbone.model.as_ref(), encoder, optimizer);
        let learner = Together { tasks, parts, encoder_config, strategy };
        Ok(Self { learner, state: Loop::default() })
    }

    /// Goes back to where a checkpoint stands.
    ///
    /// # Errors
    /// A checkpoint of another backbone, other templates or another encoder.
    pub fn restore(&mut self, checkpoint: &Checkpoint, file: &Path) -> Result<(), Error> {
        let learner = &mut self.learner;
        let first = &learner.tasks[0];
        check_backbone(&checkpoint.header, &first.backbone, file)?;
        learner.check(checkpoint, file)?;
        let Some((encoder, _)) = learner.strategy.prompt() else { return Ok(()) };
        let encoder = parameters::with_values(encoder.clone(), &checkpoint.encoder)?;
        let mut optimizer = Optimizer::new(&first.settings.train);
        let (moments, steps) = (&checkpoint.optimizer, checkpoint.header.optimizer_steps);
        optimizer.restore(&encoder, moments, steps, &first.backbone.model.device())?;
        learner.strategy = FixedLm::new(first.backbone.model.as_ref(), encoder, optimizer);
        self.state = Loop::at(checkpoint.header.position.clone(), &first.settings.train);
        Ok(())
    }

    /// Where the run stands.
    pub fn position(&self) -> &Position {
        self.state.position()
    }

    /// Virtual tokens in all, and those that several tasks share.
    pub fn virtual_tokens(&self) -> (usize, usize) {
        let mut users = vec![0; self.learner.encoder_config.prompt];
        for part in &self.learner.parts {
            part.vectors.iter().for_each(|&vector| users[vector as usize] += 1);
        }
        (users.len(), users.iter().filter(|&&users| users > 1).count())
    }

    /// Examples used and dropped of train and dev, of each task.
    pub fn counts(&self) -> impl Iterator<Item = (Counts, Counts)> {
        self.learner.parts.iter().map(|part| part.counts)
    }

    /// Trains until the end, writing metrics and checkpoints as it goes.
    ///
    /// # Errors
    /// As [`TrainLoop::run`](super::TrainLoop::run).
    pub fn run(
        &mut self,
        run: &RunDir,
        interrupter: &Interrupter,
        observer: &mut dyn Observer,
    ) -> Result<End, Error> {
        let Settings { train, seed, .. } = &self.learner.tasks[0].settings;
        self.state.run(&mut self.learner, train, *seed, run, interrupter, observer)
    }

    /// The prompts of all tasks as they are now, each with a checkpoint of its own: vectors without an
    /// encoder.
    pub fn prompts(&self) -> Vec<(Prompt, Checkpoint)> {
        let learner = &self.learner;
        let prompt = |part: &Part| {
            let vectors = learner.vectors(part);
            let (prompt, inner) = (part.vectors.len(), learner.encoder_config.hidden);
            let own = EncoderConfig {
                kind: EncoderKind::Direct,
                prompt,
                inner,
                ..learner.encoder_config
            };
            let text = part.template.template().source().to_owned();
            let mut checkpoint = learner.checkpoint(text, self.position());
            checkpoint.header.encoder = own;
            checkpoint.header.optimizer_steps = 0;
            checkpoint.encoder =
                BTreeMap::from([("embedding".to_owned(), vectors.clone().into_data())]);
            checkpoint.optimizer = BTreeMap::new();
            checkpoint.verbalizer = part.verbalizer.clone();
            let (template, verbalizer) = (part.template.clone(), part.verbalizer.clone());
            (
                Prompt { template, vectors: Some(vectors), verbalizer, spans: None, lm: None },
                checkpoint,
            )
        };
        learner.parts.iter().map(prompt).collect()
    }
}

impl Together<'_> {
    /// A task's vectors, `[prompt, hidden]`, without autodiff.
    fn vectors(&self, part: &Part) -> Tensor<2> {
        let device = self.device();
        let none = || Tensor::zeros([0, self.encoder_config.hidden], &device);
        self.strategy.vectors().unwrap_or_else(none).select(0, ids(&part.vectors, &device))
    }

    /// All templates, one a line.
    fn templates(&self) -> String {
        let text = |part: &Part| part.template.template().source().replace('\n', " ");
        self.parts.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    fn check(&self, checkpoint: &Checkpoint, file: &Path) -> Result<(), Error> {
        let header = &checkpoint.header;
        let differs = |what, expected, found| {
            Err(CheckpointError::Differs { file: file.to_owned(), what, expected, found }.into())
        };
        if header.template != self.templates() {
            return differs("templates", self.templates(), header.template.clone());
        }
        if header.encoder != self.encoder_config {
            let (expected, found) = (self.encoder_config, header.encoder);
            return differs("prompt encoder", format!("{expected:?}"), format!("{found:?}"));
        }
        Ok(())
    }

    fn checkpoint(&self, template: String, position: &Position) -> Checkpoint {
        let first = &self.tasks[0];
        let (mut encoder, mut optimizer, mut optimizer_steps) = Default::default();
        if let Some((prompt, moments)) = self.strategy.prompt() {
            encoder = parameters::values(prompt);
            (optimizer, optimizer_steps) = moments.state(&parameters::names(prompt));
        }
        Checkpoint {
            header: Header {
                format: FORMAT,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                seed: first.settings.seed,
                template,
                encoder: self.encoder_config,
                backbone: first.backbone.identity.clone(),
                optimizer_steps,
                position: position.clone(),
                labels: None,
                spans: None,
                lm: None,
                labels_steps: 0,
            },
            encoder,
            optimizer,
            lm: BTreeMap::new(),
            lm_optimizer: BTreeMap::new(),
            labels: BTreeMap::new(),
            labels_optimizer: BTreeMap::new(),
            verbalizer: Verbalizer::Words(OpenVocabulary::whole()),
        }
    }
}

impl Learner for Together<'_> {
    fn device(&self) -> Device {
        self.tasks[0].backbone.model.device()
    }

    fn lengths(&self) -> Vec<usize> {
        let items = self.parts.iter().flat_map(|part| &part.train);
        items.map(|item| item.encoded.ids.len()).collect()
    }

    /// A batch may have examples of several tasks: those of each are asked together, and the step follows the
    /// mean loss over all.
    fn step(&mut self, group: &[Vec<usize>], _: usize, lr: f64) -> Result<StepOutcome, Error> {
        let mut batches: Vec<(Vec<&Item>, &Verbalizer)> = Vec::new();
        for batch in group {
            let mut first = 0;
            for part in &self.parts {
                let own = batch.iter().filter_map(|index| index.checked_sub(first));
                let items: Vec<&Item> = own.filter_map(|index| part.train.get(index)).collect();
                first += part.train.len();
                if !items.is_empty() {
                    batches.push((items, &part.verbalizer));
                }
            }
        }
        Ok(self.strategy.step_each(&batches, lr))
    }

    fn dev_examples(&self) -> usize {
        self.parts.iter().map(|part| part.dev.len()).sum()
    }

    /// The mean over the tasks.
    fn score(&self) -> Result<Scores, Error> {
        let lm = self.tasks[0].backbone.model.as_ref();
        let score = |(part, task): (&Part, &Task)| {
            let vectors = self.vectors(part);
            let size = task.settings.eval.batch_size;
            outcome(lm, Some(&vectors), &part.dev, &part.verbalizer, size).scores()
        };
        Ok(Scores::mean(&self.parts.iter().zip(self.tasks).map(score).collect::<Vec<_>>()))
    }

    fn is_better(&self, new: &Scores, old: &Scores) -> bool {
        new.is_better_than(old)
    }

    fn is_finite(&self) -> bool {
        let finite = |x: Tensor<2>| x.into_data().iter::<f32>().all(f32::is_finite);
        self.strategy.vectors().is_none_or(finite)
    }

    fn save(&self, position: &Position, path: &Path) -> Result<(), Error> {
        Ok(self.checkpoint(self.templates(), position).save(path)?)
    }
}
