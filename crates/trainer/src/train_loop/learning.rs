//! What a training strategy lets learn: a prompt, a language model, or both.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_encoder::PromptEncoder;
use ptuning_core::verbalizer::{LabelWords, Verbalizer};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::Error;
use crate::optimizer::Optimizer;
use crate::parameters;
use crate::settings::{Settings, Strategy};
use crate::strategy::{FixedLm, LearnedLabels, LmHeader, StepOutcome, TunedLm, WithLm};
use crate::task::{Item, Task};

/// What learns.
pub enum Learning<'a> {
    /// A prompt in front of a frozen language model.
    Prompt(Box<FixedLm<'a>>),
    /// A language model, with or without a prompt.
    Lm(Box<WithLm>),
}

/// The parts of a checkpoint that learn.
#[derive(Default)]
pub struct State {
    /// Prompt encoder, by parameter.
    pub encoder: BTreeMap<String, TensorData>,
    /// Its optimiser's moments.
    pub optimizer: BTreeMap<String, TensorData>,
    /// Steps that they have seen.
    pub optimizer_steps: usize,
    /// The language model's part.
    pub lm: Option<LmHeader>,
    /// What of it has been learned.
    pub lm_values: BTreeMap<String, TensorData>,
    /// Its optimiser's moments.
    pub lm_optimizer: BTreeMap<String, TensorData>,
    /// What of the verbalizer has been learned.
    pub labels: BTreeMap<String, TensorData>,
    /// Its optimiser's moments.
    pub labels_optimizer: BTreeMap<String, TensorData>,
    /// Steps that they have seen.
    pub labels_steps: usize,
}

impl<'a> Learning<'a> {
    /// What the strategy of the settings lets learn, before its first step; of `labels`, what the
    /// verbalizer's settings say.
    ///
    /// # Errors
    /// A language model that cannot be trained as the settings say.
    pub fn new(
        task: &'a Task,
        encoder: Option<PromptEncoder>,
        labels: Option<&LabelWords>,
    ) -> Result<Self, Error> {
        let Settings { train, lm, seed, verbalizer, .. } = &task.settings;
        let prompt = encoder.map(|encoder| (encoder, Optimizer::new(train)));
        let learning = verbalizer.as_ref().filter(|verbalizer| verbalizer.learns());
        let device = task.backbone.model.device();
        let labels = labels.zip(learning).map(|(labels, settings)| {
            LearnedLabels::new(labels, train, settings.lr.unwrap_or(train.lr), &device)
        });
        let Some(settings) = lm else {
            if prompt.is_none() && labels.is_none() {
                return Err(Error::NothingToLearn);
            }
            let lm = task.backbone.model.as_ref();
            return Ok(Self::Prompt(Box::new(FixedLm::with(lm, prompt, labels))));
        };
        let model = backbone::trainable(&task.backbone.path, &task.backbone.model.device())?;
        let lm = TunedLm::new(model, settings, train, *seed)?;
        let both = WithLm::new(lm, prompt, settings.lr / train.lr).with_labels(labels);
        Ok(Self::Lm(Box::new(both)))
    }

    /// One optimiser step; see the strategies'.
    ///
    /// # Errors
    /// None for a model that was loaded.
    pub fn step(
        &mut self,
        batches: &[Vec<&Item>],
        verbalizer: &Verbalizer,
        lr: f64,
    ) -> Result<StepOutcome, Error> {
        match self {
            Self::Prompt(prompt) => Ok(prompt.step(batches, verbalizer, lr)),
            Self::Lm(both) => both.step(batches, verbalizer, lr),
        }
    }

    /// The prompt's vectors as they are now, `[prompt, hidden]`, without autodiff; none without a prompt.
    pub fn vectors(&self) -> Option<Tensor<2>> {
        match self {
            Self::Prompt(prompt) => prompt.vectors(),
            Self::Lm(both) => both.vectors(),
        }
    }

    /// Gives `judge` the language model as it is now.
    ///
    /// # Errors
    /// None for a model that was loaded.
    pub fn with_lm<R>(
        &self,
        task: &Task,
        judge: impl FnOnce(&dyn LanguageModel) -> R,
    ) -> Result<R, Error> {
        match self {
            Self::Prompt(_) => Ok(judge(task.backbone.model.as_ref())),
            Self::Lm(both) => Ok(judge(&both.lm.frozen()?)),
        }
    }

    /// Numbers that learn of the language model, and all of its numbers.
    pub fn lm_numbers(&self) -> Option<(usize, usize)> {
        match self {
            Self::Prompt(_) => None,
            Self::Lm(both) => Some((both.lm.count(), both.lm.total())),
        }
    }

    /// Whether what learns consists of finite numbers.
    pub fn is_finite(&self) -> bool {
        let finite = |vectors: Tensor<2>| vectors.into_data().iter::<f32>().all(f32::is_finite);
        let lm = match self {
            Self::Prompt(_) => true,
            Self::Lm(both) => both.lm.is_finite(),
        };
        lm && self.vectors().is_none_or(finite)
            && self.learned_labels().is_none_or(LearnedLabels::is_finite)
    }

    /// What learns of the verbalizer.
    pub fn learned_labels(&self) -> Option<&LearnedLabels> {
        match self {
            Self::Prompt(prompt) => prompt.labels(),
            Self::Lm(both) => both.labels.as_ref(),
        }
    }

    fn prompt(&self) -> Option<(&PromptEncoder, &Optimizer)> {
        match self {
            Self::Prompt(prompt) => prompt.prompt(),
            Self::Lm(both) => both.prompt.as_ref().map(|(encoder, optimizer)| (encoder, optimizer)),
        }
    }

    /// What a checkpoint keeps.
    pub fn state(&self) -> State {
        let mut state = State::default();
        if let Some((encoder, optimizer)) = self.prompt() {
            let names = parameters::names(encoder);
            (state.optimizer, state.optimizer_steps) = optimizer.state(&names);
            state.encoder = parameters::values(encoder);
        }
        if let Some(labels) = self.learned_labels() {
            (state.labels, state.labels_optimizer, state.labels_steps) = labels.state();
        }
        if let Self::Lm(both) = self {
            let (header, values, optimizer) = both.lm.state();
            (state.lm, state.lm_values, state.lm_optimizer) = (Some(header), values, optimizer);
        }
        state
    }

    /// Goes back to where a checkpoint stands.
    ///
    /// # Errors
    /// Parameters that are missing or of another shape.
    pub fn restore(&mut self, task: &'a Task, checkpoint: &Checkpoint) -> Result<(), Error> {
        let Checkpoint { header, encoder, optimizer, lm, lm_optimizer, .. } = checkpoint;
        let Checkpoint { labels, labels_optimizer, .. } = checkpoint;
        let device = task.backbone.model.device();
        let restored = match self.prompt() {
            None => None,
            Some((own, _)) => {
                let own = parameters::with_values(own.clone(), encoder)?;
                let mut moments = Optimizer::new(&task.settings.train);
                moments.restore(&own, optimizer, header.optimizer_steps, &device)?;
                Some((own, moments))
            }
        };
        let learned = match self {
            Self::Prompt(prompt) => prompt.restore(restored),
            Self::Lm(both) => {
                both.prompt = restored;
                let header = header.lm.as_ref().ok_or_else(|| CheckpointError::Parameter {
                    name: "lm".to_owned(),
                    expected: Vec::new(),
                    found: None,
                })?;
                both.lm.restore(header, lm, lm_optimizer)?;
                both.labels.as_mut()
            }
        };
        if let Some(learned) = learned {
            learned.restore(labels, labels_optimizer, header.labels_steps)?;
        }
        Ok(())
    }
}

/// Whether a strategy goes with a template that has so many virtual tokens, and a verbalizer of which
/// something `learns`.
///
/// # Errors
/// What the strategy misses.
pub fn check_template(
    strategy: Option<Strategy>,
    prompt_len: usize,
    learns: bool,
) -> Result<(), Error> {
    let strategy = strategy.unwrap_or(Strategy::FixedLm);
    match (strategy, prompt_len) {
        (Strategy::TuningFree, _) => Err(Error::TuningFree),
        (Strategy::FixedPrompt, 1..) => Err(Error::FixedVirtualTokens),
        (Strategy::FixedLm, 0) if learns => Ok(()),
        (Strategy::FixedLm | Strategy::PromptAndLm, 0) => Err(Error::NothingToLearn),
        _ => Ok(()),
    }
}
