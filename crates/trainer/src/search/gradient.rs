//! AutoPrompt (Shin et al. 2020): trigger words that the gradient of the loss points at.
//!
//! Triggers stand where a layout has virtual tokens. A step takes the gradient of the loss of a batch of train
//! with respect to the embedding of one trigger, and of the words e whose embeddings promise the greatest fall
//! of the loss, −e·gradient, the one that lowers the loss of another batch most is put in its place.

use burn::tensor::Tensor;
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_model::answer_loss;
use ptuning_core::template::{BoundTemplate, Encoded};
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};
use rand::Rng;
use rand::seq::SliceRandom;

use super::error::SearchError;
use super::options::GradientOptions;
use super::session::{Halt, Search, Stream, random};
use super::vocabulary::Vocabulary;
use crate::error::Error;
use crate::evaluate::same_examples;
use crate::prompt_error::PromptError;
use crate::settings::{PromptInit, Split};
use crate::task::{Item, Task, bind};
use crate::verbalize::prepared;

/// The word that triggers start from where no other is given, as in the paper's code.
const START: &str = "the";

/// The gradient of a loss with respect to the embeddings of triggers, `[prompt, hidden]`.
pub struct Gradients(Tensor<2>);

/// The gradient of the mean loss of `items` with respect to the embedding of each trigger, wherever it stands.
///
/// `triggers` has a token for each virtual token of the template that `items` are encoded in.
pub fn gradients(
    lm: &dyn LanguageModel,
    verbalizer: &Verbalizer,
    triggers: &[u32],
    items: &[&Item],
) -> Gradients {
    let prompt = lm.embed(triggers).autodiff().require_grad();
    let encoded: Vec<&Encoded> = items.iter().map(|item| &item.encoded).collect();
    let answers: Vec<u32> = items.iter().map(|item| item.answer).collect();
    let (_, objective) = answer_loss(lm, &prompt, &encoded, &mut |states| {
        verbalizer.loss(lm, states, &answers, items.len())
    });
    let gradient = prompt.grad(&objective.backward());
    Gradients(gradient.unwrap_or_else(|| Tensor::zeros(prompt.dims(), &lm.device())))
}

impl Gradients {
    /// The `top` of `allowed` tokens whose embeddings promise the greatest fall of the loss in the place of a
    /// trigger, the most promising first.
    pub fn candidates(
        &self,
        lm: &dyn LanguageModel,
        trigger: usize,
        allowed: &OpenVocabulary,
        top: usize,
    ) -> Vec<u32> {
        let row = self.0.clone().narrow(0, trigger, 1);
        let falls = row.matmul(lm.word_embeddings().transpose()).neg().into_data();
        let falls: Vec<f32> = falls.iter::<f32>().collect();
        allowed.top(&falls, top).into_iter().map(|(id, _)| id).collect()
    }
}

/// A layout whose virtual tokens are triggers.
struct Triggers {
    template: BoundTemplate,
    verbalizer: Verbalizer,
    items: Vec<Item>,
    vocabulary: Vocabulary,
    /// Whether a space has to open the template, that its first word stays what it is.
    space: bool,
    setting: &'static str,
}

/// The layout, the triggers that it begins with, and both as a template.
fn begin(
    task: &Task,
    options: &GradientOptions,
    judged: &[Item],
) -> Result<(Triggers, Vec<u32>, String), Error> {
    let mut layout = Triggers::new(task, options, judged)?;
    let triggers = layout.start(task);
    let vectors = task.backbone.model.embed(&triggers);
    layout.verbalizer = prepared(task, &layout.template, Some(&vectors), layout.verbalizer)?;
    if let Some(labels) = layout.verbalizer.labels() {
        labels.check_single(&task.backbone.tokenizer)?;
    }
    let template = layout.settle(task, &triggers)?;
    Ok((layout, triggers, template))
}

/// Meets everything that the search could trip over.
pub(super) fn check(task: &Task, options: &GradientOptions, judged: &[Item]) -> Result<(), Error> {
    begin(task, options, judged).map(|_| ())
}

/// Swaps triggers step by step.
pub(super) fn run(search: &mut Search<'_>, options: &GradientOptions) -> Result<(), Halt> {
    search.score_manual()?;
    let (layout, mut triggers, mut current) = begin(search.task, options, search.train())?;
    search.score(&current)?;
    search.expect(2 + options.steps * (options.top + 2));
    let seed = search.task.settings.seed;
    for step in 0..options.steps {
        let mut rng = random(seed, Stream::Batches, step);
        let place = rng.random_range(0..triggers.len());
        let mut order: Vec<&Item> = layout.items.iter().collect();
        order.shuffle(&mut rng);
        let size = options.batch.min(order.len() / 2).max(1);
        let other: Vec<usize> = order[order.len() - size..].iter().map(|item| item.index).collect();
        let proposals = search.proposals(&format!("step {step}"), |search| {
            let lm = search.task.backbone.model.as_ref();
            let found = gradients(lm, &layout.verbalizer, &triggers, &order[..size]);
            let words = OpenVocabulary::candidates(layout.vocabulary.ids());
            let found = found.candidates(lm, place, &words, options.top);
            Ok(found
                .into_iter()
                .filter_map(|id| layout.vocabulary.word(id).map(str::to_owned))
                .collect())
        })?;
        let mut best =
            search.score_batch(&current, step, &other)?.map_or(f64::INFINITY, |s| s.loss);
        let before = current.clone();
        for id in proposals.iter().filter_map(|word| layout.vocabulary.id(word)) {
            let mut swapped = triggers.clone();
            swapped[place] = id;
            let text = layout.spell(&swapped);
            let Some(scores) = search.score_batch(&text, step, &other)? else { continue };
            if scores.loss < best {
                best = scores.loss;
                (current, triggers) = (text, swapped);
            }
        }
        if current != before {
            search.score(&current)?;
        }
    }
    Ok(())
}

impl Triggers {
    fn new(task: &Task, options: &GradientOptions, judged: &[Item]) -> Result<Self, Error> {
        let (setting, text) = match &options.layout {
            Some(layout) => ("--layout", layout.as_str()),
            None => ("template.text", task.settings.template.text.as_str()),
        };
        let template = task.bind(setting, text)?;
        if template.prompt_len() == 0 {
            return Err(SearchError::NoTriggers { setting, found: text.to_owned() }.into());
        }
        if template.template().prefix() > 0 {
            return Err(PromptError::PrefixWithoutWords { what: setting }.into());
        }
        let verbalizer = task.verbalizer(&template)?;
        let items = same_examples(task, Split::Train, &template, judged)?;
        // A prompt that says the answer is none.
        let mut answers: Vec<u32> = match &verbalizer {
            Verbalizer::Words(_) => items.iter().map(|item| item.answer).collect(),
            Verbalizer::Labels(labels) => labels.words().map(|word| word.id).collect(),
        };
        answers.sort_unstable();
        answers.dedup();
        let vocabulary = Vocabulary::new(&task.backbone.tokenizer, &answers);
        if vocabulary.ids().is_empty() {
            return Err(SearchError::NoWords.into());
        }
        Ok(Self { template, verbalizer, items, vocabulary, space: false, setting })
    }

    /// What each trigger starts from: the words of the layout, else those of the settings, else "the".
    fn start(&self, task: &Task) -> Vec<u32> {
        let words = |text: &str| -> Vec<u32> {
            text.split_whitespace().filter_map(|word| self.vocabulary.id(word)).collect()
        };
        let mut given = match &task.settings.prompt_encoder.init {
            PromptInit::Words { words: text } => words(text),
            _ => words(START),
        };
        if given.is_empty() {
            given = self.vocabulary.ids()[..1].to_vec();
        }
        let of_layout = self
            .template
            .virtual_tokens()
            .iter()
            .map(|token| token.start.filter(|&id| self.vocabulary.word(id).is_some()));
        of_layout.zip(given.iter().cycle()).map(|(own, &given)| own.unwrap_or(given)).collect()
    }

    /// The template with words for triggers.
    fn spell(&self, triggers: &[u32]) -> String {
        let word = |&id: &u32| self.vocabulary.word(id).unwrap_or_default();
        let text = self.template.spelled(&triggers.iter().map(word).collect::<Vec<_>>());
        if self.space { format!(" {text}") } else { text }
    }

    /// The same, having found whether a space has to open it.
    fn settle(&mut self, task: &Task, triggers: &[u32]) -> Result<String, Error> {
        for space in [false, true] {
            self.space = space;
            let text = self.spell(triggers);
            if self.reads(task, &text, triggers) {
                return Ok(text);
            }
        }
        let layout = self.template.template().source().to_owned();
        Err(SearchError::NotSpelled { setting: self.setting, layout }.into())
    }

    /// Whether a text reads as the layout with these triggers, of the first example of train.
    fn reads(&self, task: &Task, text: &str, triggers: &[u32]) -> bool {
        let Some(item) = self.items.first() else { return false };
        let fields = &task.data.train[item.index].fields;
        let mut ids = item.encoded.ids.clone();
        for slot in &item.encoded.slots {
            ids[slot.position] = triggers[slot.virtual_token];
        }
        let read = bind(self.setting, text, &task.backbone).ok();
        let read = read.and_then(|read| read.encode(fields, &task.backbone.tokenizer).ok());
        read.is_some_and(|read| read.ids == ids && read.answer == item.encoded.answer)
    }
}
