//! Results as tables and as JSON, on stdout.

use std::io::{self, Write};

use ptuning_core::answers::MaskedScoring;
use ptuning_core::ensemble::Combine;
use ptuning_core::objective::{Filtered, Scores};
use ptuning_core::template::Fields;
use serde::Serialize;
use trainer::answers::{RankedAnswer, Ranking, WholeEvaluation, Written, WrittenAnswer};
use trainer::ensemble::Ensemble;
use trainer::evaluate::Evaluation;
use trainer::inspect::{Near, Position, VirtualTokenReport};
use trainer::predict::Prediction;
use trainer::task::Counts;

use crate::entity_tables;

/// A line of text. A reader that has left ends the command without a word.
pub fn line(text: &dyn std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// One JSON value, indented.
pub fn json<T: Serialize + ?Sized>(value: &T) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// A text as it is.
pub fn text(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}

/// Scores of one split with what was dropped; where answers of several tokens count, by both protocols.
pub fn evaluation(evaluation: &Evaluation) -> io::Result<()> {
    if let Some(tagging) = &evaluation.tagging {
        return entity_tables::evaluation(evaluation, tagging);
    }
    let mut out = io::stdout().lock();
    let Evaluation { split, counts, candidates, labels, all, .. } = evaluation;
    let kind = if labels.is_some() { "labels" } else { "candidates" };
    let candidates = match candidates {
        Some(count) => format!("{count} {kind}"),
        None => "the whole vocabulary as candidates".to_owned(),
    };
    let protocol = if all.is_some() { ", single-token" } else { "" };
    examples(&mut out, &format!("{split}{protocol}"), counts, &candidates)?;
    if let Some(labels) = labels {
        writeln!(out, "  {labels}")?;
    }
    let columns = match labels {
        Some(_) => [Column::Accuracy, Column::MacroF1, Column::Loss].as_slice(),
        None => &[Column::PrecisionAt1, Column::PrecisionAt10, Column::Mrr, Column::Loss],
    };
    let template = evaluation.manual_template.as_deref();
    let rows = [
        (evaluation.trained, evaluation.prompt.as_ref(), None),
        ("manual", evaluation.manual.as_ref(), template),
        ("uncalibrated", evaluation.uncalibrated.as_ref(), template),
        ("own words", evaluation.own_words.as_ref(), template),
    ];
    let majority = (&evaluation.majority, evaluation.majority_answer.as_deref());
    // None of one token, with all answers counting.
    if counts.used > 0 {
        table(&mut out, columns, &rows, evaluation.ensemble.as_ref(), majority)?;
    }
    filtered(&mut out, &rows)?;
    let Some(all) = all else { return Ok(()) };
    let WholeEvaluation { counts, candidates, .. } = all;
    let candidates = format!("{candidates} candidates{}", way_of_scoring(all));
    examples(&mut out, &format!("{split}, all answers"), counts, &candidates)?;
    let rows = [
        (evaluation.trained, all.prompt.as_ref(), None),
        ("manual", all.manual.as_ref(), template),
    ];
    let majority = (&all.majority, all.majority_answer.as_deref());
    table(&mut out, columns, &rows, None, majority)
}

/// The same without other right answers, where some input has several.
fn filtered(
    out: &mut impl Write,
    rows: &[(&str, Option<&Scores>, Option<&str>)],
) -> io::Result<()> {
    let there = rows.iter().filter_map(|(label, scores, _)| {
        let Filtered { precision_at_1, mrr } = (*scores)?.filtered?;
        Some(format!("{label} {:.1} / {:.1}", 100.0 * precision_at_1, 100.0 * mrr))
    });
    let there: Vec<String> = there.collect();
    match there.is_empty() {
        true => Ok(()),
        false => writeln!(out, "  other right answers removed, P@1 / MRR: {}", there.join(", ")),
    }
}

/// How whole answers were scored, as the rest of a line.
fn way_of_scoring(all: &WholeEvaluation) -> String {
    let scoring = match all.scoring {
        MaskedScoring::PseudoLikelihood => ", by pseudo-likelihood",
        MaskedScoring::LeftToRight => ", left to right",
    };
    let mean = if all.length_normalisation { ", mean over tokens" } else { "" };
    format!("{scoring}{mean}")
}

/// How many examples are judged, and why the others are not.
fn examples(out: &mut impl Write, what: &str, counts: &Counts, candidates: &str) -> io::Result<()> {
    writeln!(out, "{what}: {} of {} examples, {candidates}", counts.used, counts.read)?;
    let dropped = [
        (counts.several_tokens, "answer is several tokens"),
        (counts.not_candidate, "answer is no candidate"),
    ];
    for (count, why) in dropped.into_iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "  dropped {count}: {why}")?;
    }
    if counts.shortened > 0 {
        writeln!(out, "  shortened {}: input too long, by the template's rule", counts.shortened)?;
    }
    Ok(())
}

/// Scores with a row for each that there are, an ensemble's and the majority's below them.
fn table(
    out: &mut impl Write,
    columns: &[Column],
    rows: &[(&str, Option<&Scores>, Option<&str>)],
    ensemble: Option<&Ensemble>,
    (majority, answer): (&Scores, Option<&str>),
) -> io::Result<()> {
    let title = |column: &Column| format!(" {:>1$}", column.title(), column.width());
    let titles: String = columns.iter().map(title).collect();
    let there = rows.iter().filter(|(_, scores, _)| scores.is_some());
    let name = there.map(|(label, ..)| label.len()).max().unwrap_or(0).max(10);
    writeln!(out, "  {:<name$}{titles}", "")?;
    for (label, scores, note) in rows {
        if let Some(scores) = scores {
            row(out, (label, name), columns, scores, true, *note)?;
        }
    }
    if let Some(ensemble) = ensemble {
        for member in &ensemble.members {
            let weight = member.weight.map(|weight| format!("× {weight:.2} "));
            let note = format!("{}{}", weight.unwrap_or_default(), member.template);
            row(out, ("member", name), columns, &member.scores, true, Some(&note))?;
        }
        let how = match ensemble.combine {
            Combine::Mean => "mean of their log-probabilities",
            Combine::Majority => "majority of their votes",
            Combine::Learned => "weighted as train says",
        };
        let note = format!("{how}, {} examples", ensemble.examples);
        let has_loss = ensemble.combine != Combine::Majority;
        row(out, ("ensemble", name), columns, &ensemble.scores, has_loss, Some(&note))?;
    }
    let answer = answer.map(|answer| format!("always \"{answer}\""));
    row(out, ("majority", name), columns, majority, false, answer.as_deref())
}

/// A column of scores.
#[derive(Clone, Copy)]
enum Column {
    PrecisionAt1,
    PrecisionAt10,
    Mrr,
    Loss,
    Accuracy,
    MacroF1,
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::PrecisionAt1 => "P@1",
            Self::PrecisionAt10 => "P@10",
            Self::Mrr => "MRR",
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::MacroF1 => "macro F1",
        }
    }

    fn width(self) -> usize {
        match self {
            Self::Loss => 7,
            column => column.title().len().max(6),
        }
    }

    fn of(self, scores: &Scores, has_loss: bool) -> String {
        let percent = |x: f64| format!("{:.1}", 100.0 * x);
        match self {
            // With one right label, first is right.
            Self::PrecisionAt1 | Self::Accuracy => percent(scores.precision_at_1),
            Self::PrecisionAt10 => percent(scores.precision_at_10),
            Self::Mrr => percent(scores.mrr),
            Self::MacroF1 => scores.macro_f1.map_or_else(|| "-".to_owned(), percent),
            Self::Loss if has_loss => format!("{:.3}", scores.loss),
            Self::Loss => "-".to_owned(),
        }
    }
}

fn row(
    out: &mut impl Write,
    (label, name): (&str, usize),
    columns: &[Column],
    scores: &Scores,
    has_loss: bool,
    note: Option<&str>,
) -> io::Result<()> {
    let cell = |column: &Column| format!(" {:>1$}", column.of(scores, has_loss), column.width());
    let cells: String = columns.iter().map(cell).collect();
    let note = note.map(|note| format!("  {note}")).unwrap_or_default();
    writeln!(out, "  {label:<name$}{cells}{note}")
}

/// The best answers to each input; where answers are labels, with the way to them.
pub fn predictions(predictions: &[Prediction]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for prediction in predictions {
        writeln!(out, "{}", inputs(&prediction.input))?;
        if !prediction.labels.is_empty() {
            writeln!(out, "  {}", prediction.filled)?;
        }
        for answer in &prediction.answers {
            writeln!(out, "  {:>6.2} %  {}", 100.0 * answer.probability, answer.word)?;
        }
        for (index, label) in prediction.labels.iter().enumerate() {
            let sign = if index == 0 { "→" } else { " " };
            writeln!(out, "{sign} {:>6.2} %  {}", 100.0 * label.probability, label.label)?;
        }
    }
    Ok(())
}

/// Given answers to each input, best first, with their probability among them and their score.
pub fn rankings(rankings: &[Ranking]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for ranking in rankings {
        writeln!(out, "{}", inputs(&ranking.input))?;
        for RankedAnswer { answer, tokens, score, probability } in &ranking.answers {
            let percent = 100.0 * probability;
            writeln!(out, "  {percent:>6.2} %  {score:>8.3}  {answer}  ({})", tokens.join(" + "))?;
        }
    }
    Ok(())
}

/// Answers that a model wrote for each input, best first, with their scores.
pub fn written(written: &[Written]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for written in written {
        writeln!(out, "{}", inputs(&written.input))?;
        for WrittenAnswer { answer, tokens, score, ended, .. } in &written.answers {
            let breaks_off = if *ended == Some(false) { " …" } else { "" };
            writeln!(out, "  {score:>8.3}  {answer}{breaks_off}  ({})", tokens.join(" + "))?;
        }
    }
    Ok(())
}

/// Texts of an input, side by side.
fn inputs(input: &Fields) -> String {
    input.values().map(String::as_str).collect::<Vec<_>>().join(" | ")
}

/// A template as encoded for one example.
pub fn encoding(
    template: &str,
    positions: &[Position],
    answer: Option<(&str, &str)>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "template  {template}\n")?;
    writeln!(out, "  {:>3}  {:>6}  {:<16} role", "pos", "id", "token")?;
    for position in positions {
        let id = position.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let field = position.field.as_ref().map(|field| format!(" [x:{field}]"));
        let predicts = if position.predicts { "  ← its row predicts [z]" } else { "" };
        writeln!(
            out,
            "  {:>3}  {id:>6}  {:<16} {}{}{predicts}",
            position.position,
            position.token,
            position.role,
            field.filter(|field| field != " [x:x]").unwrap_or_default(),
        )?;
    }
    if let Some((word, tokens)) = answer {
        writeln!(out, "\nanswer    {word}  ({tokens})")?;
    }
    Ok(())
}

/// The words nearest to each learned vector.
pub fn nearest(reports: &[VirtualTokenReport]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (title, pick) in [
        (
            "nearest words by cosine",
            (|report| &report.cosine) as fn(&VirtualTokenReport) -> &Vec<Near>,
        ),
        ("nearest words by dot product", |report| &report.dot),
    ] {
        writeln!(out, "\n{title}")?;
        for report in reports {
            let words: Vec<String> = pick(report)
                .iter()
                .map(|near| format!("{} {:.2}", near.token, near.value))
                .collect();
            writeln!(out, "  {:<5} norm {:<7.2} {}", report.name, report.norm, words.join("  "))?;
        }
    }
    Ok(())
}
