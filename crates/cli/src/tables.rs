//! Results as tables and as JSON, on stdout.

use std::io::{self, Write};

use ptuning_core::ensemble::Combine;
use ptuning_core::objective::Scores;
use serde::Serialize;
use trainer::evaluate::Evaluation;
use trainer::inspect::{Near, Position, VirtualTokenReport};
use trainer::predict::Prediction;

/// One JSON value, indented.
pub fn json<T: Serialize + ?Sized>(value: &T) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// Scores of one split with what was dropped.
pub fn evaluation(evaluation: &Evaluation) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Evaluation { split, counts, candidates, labels, .. } = evaluation;
    let kind = if labels.is_some() { "labels" } else { "candidates" };
    let candidates = match candidates {
        Some(count) => format!("{count} {kind}"),
        None => "the whole vocabulary as candidates".to_owned(),
    };
    writeln!(out, "{split}: {} of {} examples, {candidates}", counts.used, counts.read)?;
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
    if let Some(labels) = labels {
        writeln!(out, "  {labels}")?;
    }
    let columns = match labels {
        Some(_) => [Column::Accuracy, Column::MacroF1, Column::Loss].as_slice(),
        None => &[Column::PrecisionAt1, Column::PrecisionAt10, Column::Mrr, Column::Loss],
    };
    let title = |column: &Column| format!(" {:>1$}", column.title(), column.width());
    let titles: String = columns.iter().map(title).collect();
    let name = if evaluation.uncalibrated.is_some() { "uncalibrated".len() } else { 10 };
    writeln!(out, "  {:<name$}{titles}", "")?;
    let template = evaluation.manual_template.as_deref();
    let rows = [
        (evaluation.trained, evaluation.prompt.as_ref(), None),
        ("manual", evaluation.manual.as_ref(), template),
        ("uncalibrated", evaluation.uncalibrated.as_ref(), template),
        ("own words", evaluation.own_words.as_ref(), template),
    ];
    for (label, scores, note) in rows {
        if let Some(scores) = scores {
            row(&mut out, (label, name), columns, scores, true, note)?;
        }
    }
    if let Some(ensemble) = &evaluation.ensemble {
        for member in &ensemble.members {
            let weight = member.weight.map(|weight| format!("× {weight:.2} "));
            let note = format!("{}{}", weight.unwrap_or_default(), member.template);
            row(&mut out, ("member", name), columns, &member.scores, true, Some(&note))?;
        }
        let how = match ensemble.combine {
            Combine::Mean => "mean of their log-probabilities",
            Combine::Majority => "majority of their votes",
            Combine::Learned => "weighted as train says",
        };
        let note = format!("{how}, {} examples", ensemble.examples);
        let has_loss = ensemble.combine != Combine::Majority;
        row(&mut out, ("ensemble", name), columns, &ensemble.scores, has_loss, Some(&note))?;
    }
    let answer = evaluation.majority_answer.as_ref().map(|answer| format!("always \"{answer}\""));
    row(&mut out, ("majority", name), columns, &evaluation.majority, false, answer.as_deref())
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
        let words: Vec<&str> = prediction.input.values().map(String::as_str).collect();
        writeln!(out, "{}", words.join(" | "))?;
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
