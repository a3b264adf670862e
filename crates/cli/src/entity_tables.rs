//! Entities on stdout: how many were found, and which.

use std::io::{self, Write};

use ptuning_core::spans::{EntityScores, Prf};
use trainer::evaluate::Evaluation;
use trainer::tagging::{NamedSpan, Tagged, TaggingEvaluation};

/// Scores of the entities of one split, label by label for what is judged, with the controls below it.
pub fn evaluation(evaluation: &Evaluation, tagging: &TaggingEvaluation) -> io::Result<()> {
    let mut out = io::stdout().lock();
    heading(&mut out, evaluation, tagging)?;
    let template = evaluation.manual_template.as_deref();
    let rows = [
        (evaluation.trained, tagging.prompt.as_ref(), None),
        ("manual", tagging.manual.as_ref(), template),
        ("uncalibrated", tagging.uncalibrated.as_ref(), template),
        ("own words", tagging.own_words.as_ref(), template),
        ("lookup", Some(&tagging.lookup), Some("train's names, by heart")),
    ];
    let there = rows.into_iter().filter_map(|(name, scores, note)| Some((name, scores?, note)));
    let rows: Vec<(&str, &EntityScores, Option<&str>)> = there.collect();
    let labels = rows.iter().take(1).flat_map(|(_, scores, _)| &scores.labels);
    let labels = labels.map(|label| INDENT.len() + label.label.chars().count());
    let names = rows.iter().map(|(name, ..)| name.len());
    let width = labels.chain(names).max().unwrap_or(0).max(10);
    writeln!(out, "  {:<width$} precision recall     F1 macro F1", "")?;
    for (number, (name, scores, note)) in rows.iter().enumerate() {
        let note = note.map(|note| format!("  {note}")).unwrap_or_default();
        let macro_f1 = percent(scores.macro_.f1);
        writeln!(out, "  {name:<width$} {} {macro_f1:>8}{note}", cells(&scores.micro))?;
        for label in scores.labels.iter().filter(|_| number == 0) {
            let name = format!("{INDENT}{}", label.label);
            let counts = format!("{} asked for, {} found", label.asked, label.found);
            writeln!(out, "  {name:<width$} {} {:>8}  {counts}", cells(&label.scores), "")?;
        }
    }
    Ok(())
}

/// In front of a label's name.
const INDENT: &str = "  ";

fn heading(
    out: &mut impl Write,
    evaluation: &Evaluation,
    tagging: &TaggingEvaluation,
) -> io::Result<()> {
    let TaggingEvaluation { sentences, spans, pruned, entities, out_of_reach, .. } = tagging;
    let split = evaluation.split;
    writeln!(
        out,
        "{split}: {entities} entities in {sentences} sentences, {spans} spans asked about, {pruned} left out"
    )?;
    if let Some(labels) = &evaluation.labels {
        writeln!(out, "  {labels}")?;
    }
    if *out_of_reach > 0 {
        writeln!(out, "  out of reach {out_of_reach}: longer than spans.longest, or left out")?;
    }
    match evaluation.counts.shortened {
        0 => Ok(()),
        count => {
            writeln!(out, "  shortened {count}: sentence too long, by the template's rule")
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn cells(scores: &Prf) -> String {
    let [precision, recall, f1] = [scores.precision, scores.recall, scores.f1].map(percent);
    format!("{precision:>9} {recall:>6} {f1:>6}")
}

/// The entities of each text.
pub fn tagged(tagged: &[Tagged]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for Tagged { words, entities, .. } in tagged {
        writeln!(out, "{}", words.join(" "))?;
        for NamedSpan { text, label, probability, .. } in entities {
            writeln!(out, "  {:>6.2} %  {label}  {text}", 100.0 * probability)?;
        }
        if entities.is_empty() {
            writeln!(out, "  no entity")?;
        }
    }
    Ok(())
}
