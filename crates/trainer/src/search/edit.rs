//! Greedy and beam search over edits of the manual prompt, word by word (after GRIPS, Prasad et al. 2022, which
//! edits phrases).

use ptuning_core::language_model::Objective;
use ptuning_core::template::SegmentKind;
use rand::seq::SliceRandom;

use super::likely::likely_words;
use super::options::EditOptions;
use super::session::{Halt, Search, Stream, best, random};
use super::vocabulary::Vocabulary;
use super::words::Wording;
use crate::data;
use crate::error::Error;

/// Where words to insert come from.
enum Words {
    /// A list.
    Listed(Vec<String>),
    /// The model.
    Likely(Vocabulary, usize),
}

/// Edits round by round, until no edit is better.
pub(super) fn run(search: &mut Search<'_>, options: &EditOptions) -> Result<(), Halt> {
    let manual = search.manual_wording()?;
    let mut beam = vec![(search.score_manual()?, manual)];
    let words = match &options.words {
        Some(file) => Words::Listed(data::words(file)?),
        None => {
            Words::Likely(Vocabulary::new(&search.task.backbone.tokenizer, &[]), options.likely)
        }
    };
    search.expect(1 + options.edits * (1 + options.beam * (options.rounds.saturating_sub(1))));
    for round in 0..options.rounds {
        let mut scored = beam.clone();
        for (member, (_, wording)) in beam.iter().enumerate() {
            let step = format!("round {round}, prompt {member}");
            let edits = search.proposals(&step, |search| {
                // A causal model sees what stands before a place alone, whatever becomes of the word there.
                let causal = search.task.backbone.model.objective() == Objective::Causal;
                let mut before: Option<(usize, Vec<String>)> = None;
                let mut edits = edits(wording, |place, instead| {
                    match &before {
                        Some((asked, found)) if causal && *asked == place => return found.clone(),
                        _ => {}
                    }
                    let found = propose(search, &words, wording, place, instead);
                    before = Some((place, found.clone()));
                    found
                });
                let stream = round << 16 | member;
                edits.shuffle(&mut random(search.task.settings.seed, Stream::Edits, stream));
                edits.truncate(options.edits);
                Ok(edits)
            })?;
            for edit in edits {
                if scored.iter().any(|(_, wording)| wording.to_string() == edit) {
                    continue;
                }
                if let Some(scores) = search.score(&edit)? {
                    let wording = Wording::parse(&edit).map_err(|source| Error::Template {
                        setting: "an edit",
                        source: Box::new(source),
                    })?;
                    scored.push((scores, wording));
                }
            }
        }
        let next = best(scored, options.beam);
        if next.iter().map(|(_, wording)| wording).eq(beam.iter().map(|(_, wording)| wording)) {
            break;
        }
        beam = next;
    }
    Ok(())
}

fn propose(
    search: &Search<'_>,
    words: &Words,
    wording: &Wording,
    place: usize,
    instead: bool,
) -> Vec<String> {
    match words {
        Words::Listed(words) => words.clone(),
        Words::Likely(vocabulary, most) => {
            likely_words(search.task, vocabulary, wording, place, instead, *most)
        }
    }
}

/// All edits of one word, each once: deletions, swaps of neighbours, and words put in or in another's place,
/// which `words` proposes for a place. Slots stay, but a word may pass an input.
fn edits(wording: &Wording, mut words: impl FnMut(usize, bool) -> Vec<String>) -> Vec<String> {
    let pieces = wording.pieces();
    let is_answer =
        |place: usize| pieces.get(place).is_some_and(|piece| piece.kind == SegmentKind::Answer);
    let free = |place: usize| pieces.get(place).is_some_and(|piece| place == 0 || !piece.glued);
    let mut found = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        if piece.text().is_some() {
            found.push(wording.without(place));
        }
        let pair = free(place) && free(place + 1) && !is_answer(place) && !is_answer(place + 1);
        if pair {
            found.push(wording.swapped(place));
        }
        if free(place) {
            found.extend(words(place, false).iter().map(|word| wording.inserted(place, word)));
        }
        if let Some(old) = piece.text() {
            let others = words(place, true).into_iter().filter(|word| word != old);
            let replaced = |word: String| {
                Wording::parse_part(&word)
                    .ok()
                    .map(|word| wording.replaced(place..place + 1, &word))
            };
            found.extend(others.filter_map(replaced));
        }
    }
    let itself = wording.to_string();
    let mut texts: Vec<String> = Vec::new();
    for text in found.iter().map(ToString::to_string) {
        if text != itself && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, listed: &[&str]) -> Vec<String> {
        let listed: Vec<String> = listed.iter().map(|&word| word.to_owned()).collect();
        edits(&Wording::parse(text).unwrap(), |_, _| listed.clone())
    }

    #[test]
    fn words_go_and_change_places_and_slots_stay() {
        let found = of("The capital [x] is [z]", &[]);
        let expected = [
            "capital [x] is [z]",
            "capital The [x] is [z]",
            "The [x] is [z]",
            "The [x] capital is [z]",
            "The capital is [x] [z]",
            "The capital [x] [z]",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn words_are_put_in_and_in_each_others_place() {
        let found = of("of [x] [z]", &["in", "of"]);
        let expected = [
            "[x] [z]",
            "[x] of [z]",
            "in of [x] [z]",
            "of of [x] [z]",
            "in [x] [z]",
            "of in [x] [z]",
            "of [x] in [z]",
            "of [x] of [z]",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_glued_stays_where_it_is() {
        assert_eq!(of("[x]'s seat [z]", &[]), ["[x] seat [z]", "[x]'s [z]"]);
    }
}
