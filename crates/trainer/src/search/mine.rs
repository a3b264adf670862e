//! Templates from a corpus: what stands between and around known pairs (Jiang et al. 2020, "How Can We Know What
//! Language Models Know?", 4.1: middle words).

use std::collections::{HashMap, HashSet};

use aho_corasick::{AhoCorasick, MatchKind};
use ptuning_core::language_model::Objective;
use ptuning_core::template::SegmentKind;

use super::SearchEnd;
use super::error::SearchError;
use super::options::MineOptions;
use super::session::{Halt, Search};
use crate::Interrupter;
use crate::data::{Example, passages};
use crate::error::Error;
use crate::task::Task;

/// What the journal calls it.
pub(super) const STEP: &str = "mined";

/// Passages between two looks at Ctrl-C.
const LOOK_EVERY: usize = 4096;

/// Scores the templates that the most pairs have in common.
pub(super) fn run(search: &mut Search<'_>, options: &MineOptions) -> Result<(), Halt> {
    search.score_manual()?;
    let proposals = search.proposals(STEP, |search| {
        let mined = mine(search.task, options, search.interrupter)?;
        mined.ok_or(Halt::Ended(SearchEnd::Interrupted))
    })?;
    search.score_all(&proposals)
}

/// The most frequent templates; `None` if Ctrl-C came first.
pub(super) fn mine(
    task: &Task,
    options: &MineOptions,
    interrupter: &Interrupter,
) -> Result<Option<Vec<String>>, Error> {
    let mut inputs = task.settings.data.inputs.keys();
    let (Some(field), None) = (inputs.next(), inputs.next()) else {
        let found = task.settings.data.inputs.len();
        return Err(SearchError::SeveralInputs { found }.into());
    };
    let causal = task.backbone.model.objective() == Objective::Causal;
    let pair =
        |example: &Example| Some((example.fields.get(field)?.clone(), example.answer.clone()));
    let pairs: Vec<(String, String)> = task.data.train.iter().filter_map(pair).collect();
    let input = SegmentKind::Input { field: field.clone(), shorten: None }.to_string();
    let mut miner = Miner::new(&pairs, &input, causal, options.between, options.around)?;
    let mut read = 0;
    for passage in passages(&options.corpus)? {
        miner.read(&passage?);
        read += 1;
        if read % LOOK_EVERY == 0 && interrupter.should_stop() {
            return Ok(None);
        }
    }
    let mined = miner.best(options.keep);
    if mined.is_empty() {
        let file = options.corpus.clone();
        return Err(SearchError::NothingMined { file, passages: read, causal }.into());
    }
    Ok(Some(mined.into_iter().map(|mined| mined.template).collect()))
}

/// A mined template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    /// The template.
    pub template: String,
    /// Distinct pairs that stand so in the corpus.
    pub pairs: usize,
    /// How often any of them does.
    pub times: usize,
}

/// Reads passages and counts what stands around pairs.
pub struct Miner {
    names: AhoCorasick,
    pairs: HashSet<(usize, usize)>,
    input: String,
    causal: bool,
    between: usize,
    around: usize,
    found: HashMap<String, (HashSet<(usize, usize)>, usize)>,
}

/// A name where it stands in a passage.
#[derive(Clone, Copy)]
struct Mention {
    name: usize,
    start: usize,
    end: usize,
}

impl Miner {
    /// Looks for pairs of a subject and an answer, written `input` and `[z]` in templates, with up to `between`
    /// words between them and `around` words around. A causal model's answer comes last.
    ///
    /// # Errors
    /// More text than can be looked for.
    pub fn new<'p>(
        pairs: &'p [(String, String)],
        input: &str,
        causal: bool,
        between: usize,
        around: usize,
    ) -> Result<Self, SearchError> {
        let mut numbers: HashMap<&'p str, usize> = HashMap::new();
        let mut names: Vec<&'p str> = Vec::new();
        let mut number = |name: &'p str| {
            *numbers.entry(name).or_insert_with(|| {
                names.push(name);
                names.len() - 1
            })
        };
        let pairs = pairs.iter().map(|(subject, answer)| (number(subject), number(answer)));
        let pairs = pairs.filter(|(subject, answer)| subject != answer).collect();
        // Of two names that begin in one place, the longer one is meant: "New York City", not "New York".
        let names = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(names)?;
        let (input, found) = (input.to_owned(), HashMap::new());
        Ok(Self { names, pairs, input, causal, between, around, found })
    }

    /// Takes in a passage.
    pub fn read(&mut self, passage: &str) {
        let mention = |found: aho_corasick::Match| Mention {
            name: found.pattern().as_usize(),
            start: found.start(),
            end: found.end(),
        };
        let mentions = self.names.find_iter(passage).map(mention);
        let mentions: Vec<Mention> = mentions.filter(|mention| is_word(passage, mention)).collect();
        for (place, first) in mentions.iter().enumerate() {
            for second in &mentions[place + 1..] {
                let middle = &passage[first.end..second.start];
                if middle.split_whitespace().count() > self.between {
                    break;
                }
                if self.pairs.contains(&(first.name, second.name)) {
                    self.count(passage, first, second, (first.name, second.name));
                }
                if !self.causal && self.pairs.contains(&(second.name, first.name)) {
                    self.count(passage, first, second, (second.name, first.name));
                }
            }
        }
    }

    /// Counts the templates of two mentions: with no, one, two … words in front, and for a masked model behind.
    fn count(&mut self, passage: &str, first: &Mention, second: &Mention, pair: (usize, usize)) {
        let middle = &passage[first.end..second.start];
        // Names side by side say nothing; an answer is asked as a word of its own.
        if middle.trim().is_empty() || !middle.ends_with(char::is_whitespace) {
            return;
        }
        let forward = pair == (first.name, second.name);
        let middle = literal(middle);
        let core = match forward {
            true => format!("{}{middle}[z]", self.input),
            false => format!("[z]{middle}{}", self.input),
        };
        let before = words_before(&passage[..first.start], self.around);
        let behind = match self.causal {
            true => Vec::new(),
            false => words_behind(&passage[second.end..], self.around),
        };
        let none = std::iter::once("");
        for front in none.clone().chain(before.iter().copied()) {
            for back in none.clone().chain(behind.iter().copied()) {
                let template = format!("{}{core}{}", literal(front), literal(back));
                let (pairs, times) = self.found.entry(template).or_default();
                pairs.insert(pair);
                *times += 1;
            }
        }
    }

    /// The `keep` templates that most pairs have in common; of equals, the more frequent, then in the order of
    /// the alphabet.
    pub fn best(self, keep: usize) -> Vec<Mined> {
        let mined = |(template, (pairs, times)): (String, (HashSet<_>, usize))| Mined {
            template,
            pairs: pairs.len(),
            times,
        };
        let mut all: Vec<Mined> = self.found.into_iter().map(mined).collect();
        all.sort_by(|a, b| {
            (b.pairs, b.times).cmp(&(a.pairs, a.times)).then_with(|| a.template.cmp(&b.template))
        });
        all.truncate(keep);
        all
    }
}

/// Whether a mention is a whole word: "Iran", not the beginning of "Iranian".
fn is_word(passage: &str, mention: &Mention) -> bool {
    let before = passage[..mention.start].chars().next_back();
    let behind = passage[mention.end..].chars().next();
    !before.into_iter().chain(behind).any(char::is_alphanumeric)
}

/// As a template has it: white space is one space, and brackets are no slots.
fn literal(text: &str) -> String {
    let mut spaced = String::new();
    for c in text.chars() {
        match c.is_whitespace() {
            true if spaced.ends_with(' ') => {}
            true => spaced.push(' '),
            false => spaced.push(c),
        }
    }
    SegmentKind::Literal(spaced).to_string()
}

/// The last word of a text, the last two …, each up to the end of the text.
fn words_before(text: &str, most: usize) -> Vec<&str> {
    // What is glued to the subject, such as a bracket, is no word.
    if !text.ends_with(char::is_whitespace) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut rest = text.trim_end();
    while found.len() < most && !rest.is_empty() {
        let start = rest
            .rfind(char::is_whitespace)
            .map_or(0, |space| space + rest[space..].chars().next().map_or(1, char::len_utf8));
        found.push(&text[start..]);
        rest = rest[..start].trim_end();
    }
    found
}

/// The first word of a text, the first two …, each from the beginning of the text, which may be glued to what
/// stands before.
fn words_behind(text: &str, most: usize) -> Vec<&str> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < most {
        let rest = &text[at..];
        let Some(start) = rest.find(|c: char| !c.is_whitespace()) else { break };
        let length = rest[start..].find(char::is_whitespace).unwrap_or(rest.len() - start);
        at += start + length;
        found.push(&text[..at]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_around_a_name_are_whole() {
        assert_eq!(words_before("In 1990 the city of ", 2), ["of ", "city of "]);
        assert_eq!(words_before("of ", 3), ["of "]);
        assert_eq!(words_before("(", 2), [""; 0]);
        assert_eq!(words_before("", 2), [""; 0]);
        assert_eq!(words_before("öde\u{3000}über ", 1), ["über "]);
        assert_eq!(words_behind(", which is", 2), [",", ", which"]);
        assert_eq!(words_behind(" is old", 5), [" is", " is old"]);
        assert_eq!(words_behind(" ", 2), [""; 0]);
    }
}
