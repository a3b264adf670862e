//! A task: data put into templates on a backbone, with everything dropped counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backbone::Backbone;
use backbone::tokenizer::Tokenizer;
use ptuning_core::answers::{AnswerSet, with_room};
use ptuning_core::language_model::Tokenize;
use ptuning_core::template::{BoundTemplate, Encoded, Template};
use ptuning_core::verbalizer::{LabelWords, OpenVocabulary, Verbalizer, single_token};
use serde::Serialize;

use crate::data::{self, Candidates, DataSet, Example};
use crate::error::Error;
use crate::prompt_error::PromptError;
use crate::settings::{
    BackboneSettings, Dtype, MemoryMode, Rounding, SPAN, Settings, Split, nearest,
};
use crate::tagging::Sentences;

/// An example ready for the model.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its encoding.
    pub encoded: Encoded,
    /// Vocabulary id of its answer, or the number of its label or of its whole answer.
    pub answer: u32,
    /// Index in the split as it was read.
    pub index: usize,
    /// Vocabulary ids of other answers that some split gives to the same input.
    pub rivals: Vec<u32>,
}

/// How many examples of a split are used, and why the others are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Examples read.
    pub read: usize,
    /// Examples used.
    pub used: usize,
    /// Dropped: the answer is more than one token.
    pub several_tokens: usize,
    /// Dropped: the answer is no candidate.
    pub not_candidate: usize,
    /// Used, but with an input shortened by the template's rule.
    pub shortened: usize,
}

/// A backbone with its task's data, not yet put into a template.
pub struct Task {
    /// The settings.
    pub settings: Settings,
    /// The frozen language model and its tokenizer.
    pub backbone: Arc<Backbone>,
    /// Examples as read.
    pub data: DataSet,
    /// Sentences as read, where spans are asked about; the examples are then spans of theirs.
    pub sentences: Option<Sentences>,
    candidates: Candidates,
}

impl Task {
    /// Reads data and backbone.
    ///
    /// # Errors
    /// Whatever is wrong with either.
    pub fn load(settings: Settings, backbone: impl Into<Arc<Backbone>>) -> Result<Self, Error> {
        let backbone = backbone.into();
        let (data, sentences) = match (&settings.spans, settings.data.shots) {
            (Some(spans), _) => {
                let sentences = Sentences::load(&settings, spans)?;
                (sentences.examples(spans, settings.seed), Some(sentences))
            }
            (None, Some(shots)) => {
                (DataSet::load(&settings.data)?.with_shots(shots, settings.seed), None)
            }
            (None, None) => (DataSet::load(&settings.data)?, None),
        };
        let candidates = data::candidates(&settings.data.candidates, &data)?;
        Ok(Self { settings, backbone, data, sentences, candidates })
    }

    /// Binds a template of the settings to the backbone.
    ///
    /// # Errors
    /// A template that cannot be parsed, or that asks for what data or model do not have.
    pub fn bind(&self, setting: &'static str, text: &str) -> Result<BoundTemplate, Error> {
        let template = self.with_room(bind(setting, text, &self.backbone)?)?;
        for field in template.template().fields() {
            if !self.settings.data.inputs.contains_key(field) {
                let names: Vec<String> =
                    self.settings.data.inputs.keys().map(|name| format!("'{name}'")).collect();
                return Err(Error::UnmappedField {
                    setting,
                    field: field.to_owned(),
                    found: names.join(", "),
                });
            }
        }
        let asks = template.template().fields().contains(&SPAN);
        if self.sentences.is_some() && !asks {
            return Err(Error::NoSpanInput { setting });
        }
        Ok(template)
    }

    /// The same template with room for the longest label word.
    fn with_room(&self, template: BoundTemplate) -> Result<BoundTemplate, Error> {
        let labels = self.settings.verbalizer.iter().flat_map(|verbalizer| &verbalizer.labels);
        let Backbone { tokenizer, model, .. } = self.backbone.as_ref();
        let tokens = |word: &String| tokenizer.ids(&template.answer_text(word)).len();
        match labels.flat_map(|(_, words)| words).map(tokens).max() {
            Some(longest) if longest > 1 => {
                with_room(&template, tokenizer, model.max_positions(), longest)
                    .map_err(Error::answers("verbalizer.labels"))
            }
            _ => Ok(template),
        }
    }

    /// What may answer where this template puts the answer: words, or labels without a prior.
    ///
    /// # Errors
    /// A label word without tokens, or of several where the language model says one.
    pub fn verbalizer(&self, template: &BoundTemplate) -> Result<Verbalizer, Error> {
        let tokenizer = &self.backbone.tokenizer;
        if let Some(settings) = &self.settings.verbalizer {
            let words = &settings.weighted();
            let labels = LabelWords::bind(words, settings.aggregate, template, tokenizer)?;
            if self.backbone.model.answers_in_one_token() {
                labels.check_single(tokenizer)?;
            }
            return Ok(Verbalizer::Labels(labels));
        }
        Ok(Verbalizer::Words(match &self.candidates {
            Candidates::Vocabulary => OpenVocabulary::whole(),
            Candidates::Words(words) => OpenVocabulary::candidates(
                words.iter().filter_map(|word| single_token(word, template, tokenizer)),
            ),
        }))
    }

    /// What may answer, before it meets a tokenizer.
    pub fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    /// Everything that may answer, of however many tokens, where this template puts the answer.
    ///
    /// # Errors
    /// A word without tokens.
    pub fn answer_set(&self, template: &BoundTemplate) -> Result<AnswerSet, Error> {
        let words: Vec<&str> = match &self.candidates {
            Candidates::Words(words) => words.iter().map(String::as_str).collect(),
            // No list holds every sequence of tokens; settings do not ask for it.
            Candidates::Vocabulary => {
                self.data.examples().map(|example| example.answer.as_str()).collect()
            }
        };
        AnswerSet::new(words, template, &self.backbone.tokenizer)
            .map_err(Error::answers("data.candidates"))
    }

    /// Encodes a split.
    ///
    /// # Errors
    /// A split that is not there, an example that does not fit, or no usable example at all.
    pub fn encode(
        &self,
        split: Split,
        template: &BoundTemplate,
        verbalizer: &Verbalizer,
    ) -> Result<(Vec<Item>, Counts), Error> {
        self.usable(split, self.encode_some(split, template, verbalizer)?)
    }

    /// As [`encode`](Self::encode), where it is no error that no example can be used.
    ///
    /// # Errors
    /// A split that is not there, or an example that does not fit.
    pub fn encode_some(
        &self,
        split: Split,
        template: &BoundTemplate,
        verbalizer: &Verbalizer,
    ) -> Result<(Vec<Item>, Counts), Error> {
        let tokenizer = &self.backbone.tokenizer;
        let (mut items, counts) =
            self.items(split, template, |example, counts| match verbalizer {
                Verbalizer::Labels(labels) => self.label(split, example, labels).map(Some),
                Verbalizer::Words(words) => {
                    let answer = single_token(&example.answer, template, tokenizer);
                    counts.several_tokens += usize::from(answer.is_none());
                    let known = answer.filter(|&answer| words.contains(answer));
                    counts.not_candidate += usize::from(answer.is_some() && known.is_none());
                    Ok(known)
                }
            })?;
        if let (Verbalizer::Words(_), Some(examples)) = (verbalizer, self.data.split(split)) {
            let answers = self.data.several_answers();
            for item in &mut items {
                let all = answers.get(&examples[item.index].fields).into_iter().flatten();
                let ids = all.filter_map(|word| single_token(word, template, tokenizer));
                item.rivals = ids.filter(|&id| id != item.answer).collect();
            }
        }
        Ok((items, counts))
    }

    /// Encodes a split for answers of any number of tokens, by their numbers in a set.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_whole(
        &self,
        split: Split,
        template: &BoundTemplate,
        answers: &AnswerSet,
    ) -> Result<(Vec<Item>, Counts), Error> {
        let found = self.items(split, template, |example, counts| {
            let answer = answers.number(&example.answer);
            counts.not_candidate += usize::from(answer.is_none());
            Ok(answer.map(|number| number as u32))
        })?;
        self.usable(split, found)
    }

    /// Refuses to go on with no example.
    fn usable(
        &self,
        split: Split,
        (items, counts): (Vec<Item>, Counts),
    ) -> Result<(Vec<Item>, Counts), Error> {
        if items.is_empty() {
            return Err(Error::NoExamples {
                file: self.settings.data.file(split).map(Path::to_owned).unwrap_or_default(),
                split,
                total: counts.read,
                several_tokens: counts.several_tokens,
                not_candidate: counts.not_candidate,
            });
        }
        Ok((items, counts))
    }

    /// Encodes the examples of a split for which `answer` gives an answer; it counts the others.
    fn items(
        &self,
        split: Split,
        template: &BoundTemplate,
        answer: impl Fn(&Example, &mut Counts) -> Result<Option<u32>, Error>,
    ) -> Result<(Vec<Item>, Counts), Error> {
        let examples = self.data.split(split).ok_or(Error::NoSplit(split))?;
        let mut counts = Counts { read: examples.len(), ..Counts::default() };
        let mut items = Vec::with_capacity(examples.len());
        for (index, example) in examples.iter().enumerate() {
            let Some(answer) = answer(example, &mut counts)? else { continue };
            let encoded = template
                .encode(&example.fields, &self.backbone.tokenizer)
                .map_err(|source| Error::Encode { place: self.place(split, example), source })?;
            counts.shortened += usize::from(!encoded.shortened.is_empty());
            items.push(Item { encoded, answer, index, rivals: Vec::new() });
        }
        counts.used = items.len();
        Ok((items, counts))
    }

    fn label(&self, split: Split, example: &Example, labels: &LabelWords) -> Result<u32, Error> {
        let number = labels.number(&example.answer).ok_or_else(|| {
            let names = || labels.labels().iter().map(|label| label.name.as_str());
            let known: Vec<String> = names().map(|name| format!("'{name}'")).collect();
            Error::UnknownLabel {
                place: self.place(split, example),
                key: self.settings.data.answer.clone(),
                found: example.answer.clone(),
                known: known.join(", "),
                hint: match nearest(&example.answer, names()) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => "add it to verbalizer.labels with words that stand for it".to_owned(),
                },
            }
        })?;
        Ok(number as u32)
    }

    fn place(&self, split: Split, example: &Example) -> String {
        let file = self.settings.data.file(split).map(|path| path.display().to_string());
        format!("{}:{}", file.unwrap_or_else(|| split.name().to_owned()), example.line)
    }
}

/// Parses a template and binds it to a backbone.
///
/// # Errors
/// `setting` says where the text came from.
pub fn bind(
    setting: &'static str,
    text: &str,
    backbone: &Backbone,
) -> Result<BoundTemplate, Error> {
    let template = Template::parse(text)
        .map_err(|source| Error::Template { setting, source: Box::new(source) })?;
    let model = &backbone.model;
    if template.prefix() > 0 && model.prefix_shape().is_none() {
        return Err(PromptError::NoPrefix { setting }.into());
    }
    BoundTemplate::bind(template, &backbone.tokenizer, model.objective(), model.max_positions())
        .map_err(|source| Error::Bind { setting, source })
}

/// What the majority of the train split would answer: train answers by how often they occur.
///
/// The control that a probe has to beat: it knows the answers but not the question.
#[derive(Debug, Clone)]
pub struct Majority {
    ranks: BTreeMap<u32, usize>,
}

impl Majority {
    /// Counts the answers of a train split; equally frequent ones in the order of their ids.
    pub fn new(train: &[Item]) -> Self {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for item in train {
            *counts.entry(item.answer).or_default() += 1;
        }
        let mut order: Vec<(u32, usize)> = counts.into_iter().collect();
        order.sort_by_key(|&(id, count)| (std::cmp::Reverse(count), id));
        Self { ranks: order.into_iter().enumerate().map(|(rank, (id, _))| (id, rank)).collect() }
    }

    /// Rank of an answer, from 0; one never seen in train comes after all that were.
    pub fn rank(&self, answer: u32) -> usize {
        self.ranks.get(&answer).copied().unwrap_or(self.ranks.len())
    }

    /// The most frequent answer: its vocabulary id or its number.
    pub fn most_frequent(&self) -> Option<u32> {
        self.ranks.iter().find(|(_, rank)| **rank == 0).map(|(&answer, _)| answer)
    }

    /// The most frequent answer, in words.
    pub fn answer(&self, verbalizer: &Verbalizer, tokenizer: &Tokenizer) -> Option<String> {
        let answer = self.most_frequent()?;
        match verbalizer {
            Verbalizer::Words(_) => Some(tokenizer.decode(&[answer]).trim().to_owned()),
            Verbalizer::Labels(labels) => {
                labels.labels().get(answer as usize).map(|label| label.name.clone())
            }
        }
    }
}

/// How a backbone is to run, as its settings say.
pub fn backbone_options(settings: &BackboneSettings) -> backbone::Options {
    let BackboneSettings {
        fused,
        share_prefix,
        answer_rows,
        memory,
        dtype,
        rounding,
        random_weights,
        ..
    } = *settings;
    let memory = match memory {
        MemoryMode::Tape => backbone::Memory::Tape,
        MemoryMode::Recompute => backbone::Memory::Recompute,
    };
    let precision = match dtype {
        Dtype::F32 => backbone::Precision::F32,
        Dtype::Bf16 => backbone::Precision::Bf16,
        Dtype::F16 => backbone::Precision::F16,
    };
    let rounding = match rounding {
        Rounding::None => backbone::Rounding::None,
        Rounding::Q8 => backbone::Rounding::EightBits,
        Rounding::Q4 => backbone::Rounding::FourBits,
    };
    backbone::Options {
        fused,
        share_prefix,
        answer_rows,
        memory,
        precision,
        rounding,
        random_weights,
    }
}
