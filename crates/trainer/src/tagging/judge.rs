//! The sentences of a split with what judging them takes.

use burn::tensor::Tensor;
use ptuning_core::language_model::LanguageModel;
use ptuning_core::objective::Scores;
use ptuning_core::spans::{Entity, EntityScores, SpanRules};
use ptuning_core::template::BoundTemplate;
use ptuning_core::verbalizer::{LabelWords, Verbalizer};

use super::{AskedSpans, labels};
use crate::data::Sentence;
use crate::error::Error;
use crate::settings::Split;
use crate::task::{Counts, Task};

/// Scores of the entities, and with their F1 among them those of all spans asked about.
pub(super) type Scored = (EntityScores, Scores);

/// A split's sentences.
pub(super) struct Judge<'a> {
    task: &'a Task,
    split: Split,
    pub rules: &'a SpanRules,
    pub sentences: &'a [Sentence],
}

impl<'a> Judge<'a> {
    /// `None` where the task is not about entities.
    ///
    /// # Errors
    /// A split that is not there.
    pub fn new(task: &'a Task, split: Split) -> Result<Option<Self>, Error> {
        let (Some(spans), Some(all)) = (&task.settings.spans, &task.sentences) else {
            return Ok(None);
        };
        let sentences = all.split(split).ok_or(Error::NoSplit(split))?;
        Ok(Some(Self { task, split, rules: &spans.rules, sentences }))
    }

    /// Its spans in a template.
    ///
    /// # Errors
    /// A sentence that does not go into it.
    pub fn asked(&self, template: &BoundTemplate) -> Result<AskedSpans, Error> {
        let words = self.sentences.iter().map(|sentence| sentence.words.as_slice());
        let file = self.task.settings.data.file(self.split);
        let file = file.map_or_else(|| self.split.to_string(), |path| path.display().to_string());
        let place = |number: usize| format!("{file}:{}", self.sentences[number].line);
        AskedSpans::new(template, &self.task.backbone.tokenizer, self.rules, words, place)
    }

    /// The entities of each sentence.
    pub fn entities(&self) -> Vec<&'a [Entity]> {
        self.sentences.iter().map(|sentence| sentence.entities.as_slice()).collect()
    }

    /// Scores of several sets of words, the language model run once.
    ///
    /// # Shapes
    /// - `prompt`: `[prompt, hidden]`, without autodiff
    ///
    /// # Errors
    /// A verbalizer without the label of what is no entity.
    pub fn scores<const N: usize>(
        &self,
        asked: &AskedSpans,
        lm: &dyn LanguageModel,
        prompt: Option<&Tensor<2>>,
        verbalizers: [&Verbalizer; N],
    ) -> Result<Vec<Scored>, Error> {
        let words = verbalizers.map(|verbalizer| labels(verbalizer, self.rules));
        let words = words.into_iter().collect::<Result<Vec<(&LabelWords, usize)>, Error>>()?;
        let sets: Vec<&LabelWords> = words.iter().map(|(words, _)| *words).collect();
        let opinions = asked.opinions(lm, prompt, &sets, self.task.settings.eval.batch_size);
        let entities = self.entities();
        let scored = opinions.iter().zip(words);
        Ok(scored.map(|(said, (words, none))| asked.scores(said, &entities, words, none)).collect())
    }
}

/// The sentences of dev in a template, for the scores that a run is chosen by.
pub struct DevSpans<'a> {
    judge: Judge<'a>,
    asked: AskedSpans,
}

impl<'a> DevSpans<'a> {
    /// `None` where the task is not about entities.
    ///
    /// # Errors
    /// A sentence that does not go into the template.
    pub fn new(task: &'a Task, template: &BoundTemplate) -> Result<Option<Self>, Error> {
        let Some(judge) = Judge::new(task, Split::Dev)? else { return Ok(None) };
        let asked = judge.asked(template)?;
        Ok(Some(Self { judge, asked }))
    }

    /// How many spans are asked about, and how many sentences the template's rule has shortened.
    pub fn counts(&self) -> Counts {
        let (spans, shortened) = (self.asked.len(), self.asked.shortened());
        Counts { read: spans, used: spans, shortened, ..Counts::default() }
    }

    /// Scores of all spans, with the F1 of entities among them.
    ///
    /// # Shapes
    /// - `prompt`: `[prompt, hidden]`, without autodiff
    ///
    /// # Errors
    /// A verbalizer without the label of what is no entity.
    pub fn scores(
        &self,
        lm: &dyn LanguageModel,
        prompt: Option<&Tensor<2>>,
        verbalizer: &Verbalizer,
    ) -> Result<Scores, Error> {
        let scored = self.judge.scores(&self.asked, lm, prompt, [verbalizer])?;
        Ok(scored.into_iter().map(|(_, spans)| spans).next().unwrap_or_default())
    }
}
