//! Spans of sentences in a template, and what a language model says of them.

use std::collections::HashMap;
use std::ops::Range;

use burn::tensor::Tensor;
use ptuning_core::language_model::{LanguageModel, Tokenize};
use ptuning_core::objective::Scores;
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::spans::{Entity, EntityScores, Found, Span, SpanRules, without_overlap};
use ptuning_core::template::{BoundTemplate, Encoded, Fields};
use ptuning_core::verbalizer::LabelWords;

use crate::error::Error;
use crate::settings::{SENTENCE, SPAN};

/// Spans of sentences, each put into a template. Spans of one sentence that read the same are asked about once.
pub struct AskedSpans {
    /// Spans of each sentence, each with the number of its input.
    sentences: Vec<Vec<(Span, usize)>>,
    inputs: Vec<Encoded>,
    /// Inputs of each sentence.
    ranges: Vec<Range<usize>>,
    /// Sentences that the template's rule has shortened.
    shortened: usize,
    /// Spans of at most so many words, asked about or not.
    all: usize,
}

/// Log-probability of each label for each input of [`AskedSpans`], `[input][label]`.
pub type Opinions = Vec<Vec<f32>>;

impl AskedSpans {
    /// Puts the spans of sentences into a template; `place` says where a sentence comes from.
    ///
    /// # Errors
    /// A sentence that does not go into the template.
    pub fn new<'a>(
        template: &BoundTemplate,
        tokenizer: &dyn Tokenize,
        rules: &SpanRules,
        sentences: impl IntoIterator<Item = &'a [String]>,
        place: impl Fn(usize) -> String,
    ) -> Result<Self, Error> {
        let mut asked = Self {
            sentences: Vec::new(),
            inputs: Vec::new(),
            ranges: Vec::new(),
            shortened: 0,
            all: 0,
        };
        for (number, words) in sentences.into_iter().enumerate() {
            let first = asked.inputs.len();
            let sentence = words.join(" ");
            let mut known: HashMap<String, usize> = HashMap::new();
            let mut spans = Vec::new();
            for span in rules.spans(words) {
                let text = span.text(words);
                let input = match known.get(&text) {
                    Some(&input) => input,
                    None => {
                        let fields = [(SENTENCE, sentence.clone()), (SPAN, text.clone())];
                        let fields: Fields =
                            fields.map(|(name, text)| (name.to_owned(), text)).into();
                        let encoded = template
                            .encode(&fields, tokenizer)
                            .map_err(|source| Error::Encode { place: place(number), source })?;
                        asked.inputs.push(encoded);
                        known.insert(text, asked.inputs.len() - 1);
                        asked.inputs.len() - 1
                    }
                };
                spans.push((span, input));
            }
            let range = first..asked.inputs.len();
            let shortened = |input: &Encoded| !input.shortened.is_empty();
            asked.shortened += usize::from(asked.inputs[range.clone()].iter().any(shortened));
            asked.sentences.push(spans);
            asked.ranges.push(range);
            asked.all += rules.all(words.len());
        }
        Ok(asked)
    }

    /// How many spans are asked about.
    pub fn len(&self) -> usize {
        self.sentences.iter().map(Vec::len).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many spans of a sentence are asked about.
    pub fn spans_of(&self, sentence: usize) -> usize {
        self.sentences.get(sentence).map_or(0, Vec::len)
    }

    /// Sentences that the template's rule has shortened.
    pub fn shortened(&self) -> usize {
        self.shortened
    }

    /// How many spans there would be if the rules left out none but long ones.
    pub fn all(&self) -> usize {
        self.all
    }

    /// Whether a span of a sentence is asked about.
    pub fn contains(&self, sentence: usize, span: Span) -> bool {
        let spans = self.sentences.get(sentence).map_or(&[][..], Vec::as_slice);
        spans.binary_search_by_key(&span, |&(span, _)| span).is_ok()
    }

    /// What a language model says of each input, by several sets of words; it is run once for all labels.
    ///
    /// # Shapes
    /// - `prompt`: `[prompt, hidden]`, without autodiff
    /// - returns: opinions of each set
    pub fn opinions(
        &self,
        lm: &dyn LanguageModel,
        prompt: Option<&Tensor<2>>,
        labels: &[&LabelWords],
        batch_size: usize,
    ) -> Vec<Opinions> {
        let mut opinions = vec![vec![Vec::new(); self.inputs.len()]; labels.len()];
        for batch in self.batches(lm, batch_size.max(1)) {
            let encoded: Vec<&Encoded> = batch.iter().map(|&input| &self.inputs[input]).collect();
            let mut logits: Option<Tensor<2>> = None;
            let mut whole: Option<(LabelWords, Tensor<2>)> = None;
            for (labels, opinions) in labels.iter().zip(&mut opinions) {
                let words = labels.uncalibrated();
                let said = match &whole {
                    Some((known, said)) if *known == words => said.clone(),
                    _ if labels.reads_logits() => {
                        let logits =
                            logits.get_or_insert_with(|| answer_logits(lm, prompt, &encoded));
                        labels.of_logits(logits.clone())
                    }
                    _ => labels.said(lm, prompt, &encoded),
                };
                whole = Some((words, said.clone()));
                let scores = labels.aggregated(labels.compared(said));
                let [_, width] = scores.dims();
                let scores: Vec<f32> = scores.into_data().iter().collect();
                for (&input, row) in batch.iter().zip(scores.chunks(width.max(1))) {
                    opinions[input] = row.to_vec();
                }
            }
        }
        opinions
    }

    /// Inputs that are computed together. Where what stands in front of all of a batch is computed once, a
    /// batch is of one sentence, whose words are then read once for all its spans; elsewhere inputs of
    /// similar length save padding.
    fn batches(&self, lm: &dyn LanguageModel, size: usize) -> Vec<Vec<usize>> {
        if lm.shares_prefix() {
            let of = |range: &Range<usize>| range.clone().collect::<Vec<usize>>();
            let chunks =
                |all: Vec<usize>| all.chunks(size).map(<[usize]>::to_vec).collect::<Vec<_>>();
            return self.ranges.iter().map(of).flat_map(chunks).collect();
        }
        let mut order: Vec<usize> = (0..self.inputs.len()).collect();
        order.sort_by_key(|&input| self.inputs[input].ids.len());
        order.chunks(size).map(<[usize]>::to_vec).collect()
    }

    /// Spans of a sentence with what is said of them.
    pub fn rows<'a>(&self, sentence: usize, opinions: &'a Opinions) -> Vec<(Span, &'a [f32])> {
        let spans = self.sentences.get(sentence).map_or(&[][..], Vec::as_slice);
        spans.iter().map(|&(span, input)| (span, opinions[input].as_slice())).collect()
    }

    /// Entities of each sentence, by what is said of its spans.
    pub fn found(&self, opinions: &Opinions, none: usize) -> Vec<Vec<Found>> {
        let sentence = |number: usize| without_overlap(&self.rows(number, opinions), none);
        (0..self.sentences.len()).map(sentence).collect()
    }

    /// Scores where it is known which entities each sentence has: those of the entities, and with their F1
    /// among them those of all spans that are asked about, each an example of its label.
    pub fn scores(
        &self,
        opinions: &Opinions,
        entities: &[&[Entity]],
        labels: &LabelWords,
        none: usize,
    ) -> (EntityScores, Scores) {
        let found = self.found(opinions, none);
        let named = |found: Vec<Found>| found.into_iter().map(|one| entity(&one, labels)).collect();
        let found: Vec<Vec<Entity>> = found.into_iter().map(named).collect();
        let asked: Vec<Vec<Entity>> = entities.iter().map(|entities| entities.to_vec()).collect();
        let scores = EntityScores::new(&asked, &found);
        let (mut ranks, mut losses) = (Vec::new(), Vec::new());
        for (spans, entities) in self.sentences.iter().zip(&asked) {
            for &(span, input) in spans {
                let entity = entities.iter().find(|entity| entity.span() == span);
                let right = entity.and_then(|entity| labels.number(&entity.label)).unwrap_or(none);
                let row = &opinions[input];
                ranks.push(row.iter().filter(|&&score| score > row[right]).count());
                losses.push(-row[right]);
            }
        }
        let spans = Scores { entity_f1: Some(scores.micro.f1), ..Scores::new(&ranks, &losses) };
        (scores, spans)
    }
}

fn entity(found: &Found, labels: &LabelWords) -> Entity {
    let label = labels.labels().get(found.label).map(|label| label.name.clone());
    let Span { start, end } = found.span;
    Entity { start, end, label: label.unwrap_or_default() }
}
