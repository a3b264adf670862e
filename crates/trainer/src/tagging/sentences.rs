//! Sentences of all splits, and the examples that a prompt learns from.

use std::collections::BTreeMap;
use std::path::Path;

use ptuning_core::spans::Span;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::{self, DataError, DataSet, Example, Sentence, load_sentences};
use crate::error::Error;
use crate::settings::{SENTENCE, SPAN, Settings, SpanSettings, Split, nearest};

/// Streams of the seed's random numbers, apart from those that order batches and draw examples of labels.
const STREAM: u64 = u64::MAX - 16;

/// The sentences of all splits, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentences {
    /// What the prompt learns from.
    pub train: Vec<Sentence>,
    /// What chooses the epoch to keep.
    pub dev: Vec<Sentence>,
    /// What is reported; `None` without a test split.
    pub test: Option<Vec<Sentence>>,
}

impl Sentences {
    /// Reads all splits. `data.limit` keeps the first sentences of each; `data.shots` keeps of train and dev,
    /// in an order drawn by the seed, those with an entity of a label that has fewer so far.
    ///
    /// # Errors
    /// The first file or row that cannot be used, a label without words, a split without entities.
    pub fn load(settings: &Settings, spans: &SpanSettings) -> Result<Self, Error> {
        let read = |split| Self::read(settings, spans, split);
        Ok(Self {
            train: read(Split::Train)?.unwrap_or_default(),
            dev: read(Split::Dev)?.unwrap_or_default(),
            test: read(Split::Test)?,
        })
    }

    /// Reads one split; `None` if the data has no such split.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn read(
        settings: &Settings,
        spans: &SpanSettings,
        split: Split,
    ) -> Result<Option<Vec<Sentence>>, Error> {
        let Some(path) = settings.data.file(split) else { return Ok(None) };
        let mut sentences = load_sentences(path, spans)?;
        sentences.iter().try_for_each(|sentence| check(path, sentence, settings, spans))?;
        sentences.truncate(settings.data.limit.unwrap_or(usize::MAX));
        if sentences.iter().all(|sentence| sentence.entities.is_empty()) {
            let (path, key) = (path.to_owned(), spans.entities.clone());
            return Err(DataError::NoEntities { path, sentences: sentences.len(), key }.into());
        }
        Ok(Some(match settings.data.shots {
            Some(shots) if split != Split::Test => few(sentences, shots, settings.seed, split),
            _ => sentences,
        }))
    }

    /// The sentences of a split, in the order of its file; `None` if the data has no such split.
    pub fn split(&self, split: Split) -> Option<&[Sentence]> {
        match split {
            Split::Train => Some(&self.train),
            Split::Dev => Some(&self.dev),
            Split::Test => self.test.as_deref(),
        }
    }

    /// Examples of all splits: each entity, and `spans.negatives` times as many spans that are none, drawn by
    /// the seed from those that would be asked about; in the order of sentences and words.
    pub fn examples(&self, spans: &SpanSettings, seed: u64) -> DataSet {
        let of = |split, sentences: &[Sentence]| span_examples(sentences, spans, seed, split);
        DataSet {
            train: of(Split::Train, &self.train),
            dev: of(Split::Dev, &self.dev),
            test: self.test.as_deref().map(|test| of(Split::Test, test)),
        }
    }
}

/// The examples of one split of any task, without those that training would not see.
///
/// # Errors
/// The file or the first row that cannot be used.
pub fn examples(settings: &Settings, split: Split) -> Result<Vec<Example>, Error> {
    let file = settings.data.file(split).ok_or(Error::NoSplit(split))?;
    let Some(spans) = &settings.spans else { return Ok(data::load_file(file, &settings.data)?) };
    Ok(span_examples(&load_sentences(file, spans)?, spans, settings.seed, split))
}

/// Refuses an entity whose label is not one of the verbalizer's, or is that of what is none.
fn check(
    path: &Path,
    sentence: &Sentence,
    settings: &Settings,
    spans: &SpanSettings,
) -> Result<(), Error> {
    let labels = settings.verbalizer.iter().flat_map(|verbalizer| &verbalizer.labels);
    let known: Vec<&str> =
        labels.map(|(name, _)| name.as_str()).filter(|&name| name != spans.rules.none).collect();
    let Some(entity) = sentence.entities.iter().find(|one| !known.contains(&one.label.as_str()))
    else {
        return Ok(());
    };
    let quoted: Vec<String> = known.iter().map(|name| format!("'{name}'")).collect();
    Err(Error::UnknownLabel {
        place: format!("{}:{}", path.display(), sentence.line),
        key: spans.entities.clone(),
        found: entity.label.clone(),
        known: quoted.join(", "),
        hint: match nearest(&entity.label, known) {
            _ if entity.label == spans.rules.none => {
                "spans.none is the label of all that is no entity: leave it out of the data"
                    .to_owned()
            }
            Some(near) => format!("did you mean '{near}'?"),
            None => "add it to verbalizer.labels with words that stand for it".to_owned(),
        },
    })
}

fn stream(seed: u64, split: Split, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM - 2 * split as u64 - purpose);
    rng
}

/// Sentences, in their order, until each label has `shots` entities: of a shuffled list those that have an
/// entity of a label with fewer so far.
fn few(sentences: Vec<Sentence>, shots: usize, seed: u64, split: Split) -> Vec<Sentence> {
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.shuffle(&mut stream(seed, split, 0));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kept = vec![false; sentences.len()];
    for index in order {
        let labels = || sentences[index].entities.iter().map(|one| one.label.as_str());
        kept[index] = labels().any(|label| counts.get(label).is_none_or(|&count| count < shots));
        if kept[index] {
            labels().for_each(|label| *counts.entry(label).or_default() += 1);
        }
    }
    let mut kept = kept.into_iter();
    sentences.into_iter().filter(|_| kept.next().unwrap_or(false)).collect()
}

fn span_examples(
    sentences: &[Sentence],
    spans: &SpanSettings,
    seed: u64,
    split: Split,
) -> Vec<Example> {
    let numbered = || sentences.iter().enumerate();
    let mut chosen: Vec<(usize, Span, &str)> = numbered()
        .flat_map(|(number, sentence)| {
            let entities = sentence.entities.iter();
            entities.map(move |one| (number, one.span(), one.label.as_str()))
        })
        .collect();
    let none = spans.rules.none.as_str();
    let mut others: Vec<(usize, Span, &str)> = numbered()
        .flat_map(|(number, sentence)| {
            let named = |span: &Span| sentence.entities.iter().any(|one| one.span() == *span);
            let asked = spans.rules.spans(&sentence.words).into_iter();
            asked.filter(move |span| !named(span)).map(move |span| (number, span, none))
        })
        .collect();
    others.shuffle(&mut stream(seed, split, 1));
    // A float above all of them takes all of them.
    others.truncate((chosen.len() as f64 * spans.negatives).ceil() as usize);
    chosen.extend(others);
    chosen.sort_by_key(|&(number, span, _)| (number, span));
    let example = |(number, span, label): (usize, Span, &str)| {
        let sentence: &Sentence = &sentences[number];
        let fields = [(SENTENCE, sentence.text()), (SPAN, span.text(&sentence.words))];
        Example {
            fields: fields.map(|(name, text)| (name.to_owned(), text)).into(),
            answer: label.to_owned(),
            line: sentence.line,
        }
    };
    chosen.into_iter().map(example).collect()
}
