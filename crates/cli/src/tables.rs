//! Results as tables and as JSON, on stdout.

use std::io::{self, Write};

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
    let Evaluation { split, counts, candidates, .. } = evaluation;
    let candidates = match candidates {
        Some(count) => format!("{count} candidates"),
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
    writeln!(out, "  {:<10} {:>6} {:>6} {:>6} {:>7}", "", "P@1", "P@10", "MRR", "loss")?;
    if let Some(scores) = &evaluation.prompt {
        row(&mut out, "P-tuned", scores, true, None)?;
    }
    if let Some(scores) = &evaluation.manual {
        row(&mut out, "manual", scores, true, evaluation.manual_template.as_deref())?;
    }
    let answer = evaluation.majority_answer.as_ref().map(|answer| format!("always \"{answer}\""));
    row(&mut out, "majority", &evaluation.majority, false, answer.as_deref())
}

fn row(
    out: &mut impl Write,
    name: &str,
    scores: &Scores,
    loss: bool,
    note: Option<&str>,
) -> io::Result<()> {
    let percent = |x: f64| format!("{:.1}", 100.0 * x);
    let loss = if loss { format!("{:.3}", scores.loss) } else { "-".to_owned() };
    let (p1, p10, mrr) =
        (percent(scores.precision_at_1), percent(scores.precision_at_10), percent(scores.mrr));
    let note = note.map(|note| format!("  {note}")).unwrap_or_default();
    writeln!(out, "  {name:<10} {p1:>6} {p10:>6} {mrr:>6} {loss:>7}{note}")
}

/// The best answers to each input.
pub fn predictions(predictions: &[Prediction]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for prediction in predictions {
        let words: Vec<&str> = prediction.input.values().map(String::as_str).collect();
        writeln!(out, "{}", words.join(" | "))?;
        for answer in &prediction.answers {
            writeln!(out, "  {:>6.2} %  {}", 100.0 * answer.probability, answer.word)?;
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
