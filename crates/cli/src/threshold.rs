//! `--fail-under`: scores that must be reached.

use trainer::evaluate::Evaluation;

use crate::exit::Hinted;

/// A score and its least value.
pub struct Threshold {
    /// Name of the score.
    pub name: String,
    /// What it must reach, 0 to 1.
    pub least: f64,
}

impl Threshold {
    /// The score of an evaluation.
    pub fn of(&self, evaluation: &Evaluation) -> f64 {
        let scores = evaluation.prompt.or(evaluation.manual).unwrap_or_default();
        match self.name.as_str() {
            "p1" => scores.precision_at_1,
            "p10" => scores.precision_at_10,
            "f1" => scores.entity_f1.or(scores.macro_f1).unwrap_or_default(),
            _ => scores.mrr,
        }
    }
}

/// Reads `SCORE=NUMBER` arguments.
///
/// # Errors
/// A score that is none of `names`, or a number beyond 0 and 1.
pub fn thresholds(arguments: &[String], names: &[&str]) -> anyhow::Result<Vec<Threshold>> {
    let parse = |argument: &String| {
        let parsed = argument.split_once('=').and_then(|(name, least)| {
            let least: f64 = least.trim().parse().ok()?;
            let known = names.contains(&name) && (0.0..=1.0).contains(&least);
            known.then(|| Threshold { name: name.to_owned(), least })
        });
        parsed.ok_or_else(|| {
            let (last, others) = names.split_last().unwrap_or((&"", &[]));
            anyhow::Error::new(Hinted {
                message: format!(
                    "--fail-under {argument}: expected {} or {last} = a number from 0 to 1",
                    others.join(", ")
                ),
                hint: "--fail-under p1=0.4".to_owned(),
            })
        })
    };
    arguments.iter().map(parse).collect()
}
