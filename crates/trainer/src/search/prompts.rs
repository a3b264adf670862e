//! P-tuning's own choices, by successive halving: which anchors, how many virtual tokens, and where.

use rand::seq::SliceRandom;

use super::halving::rungs;
use super::layouts::layouts;
use super::leaderboard::mean;
use super::options::PromptsOptions;
use super::session::{Halt, Search, Stream, best, random};
use super::trials::{Trial, train};

/// Trains layouts, each rung the better half for twice as long.
pub(super) fn run(search: &mut Search<'_>, options: &PromptsOptions) -> Result<(), Halt> {
    search.score_manual()?;
    let settings = &search.task.settings;
    let first_seed = settings.seed;
    let own = settings.template.text.clone();
    let mut others = layouts(&search.manual_wording()?, &options.anchors, &options.tokens)?;
    others.retain(|layout| *layout != own);
    others.shuffle(&mut random(first_seed, Stream::Layouts, 0));
    // What the config has is among them, if it learns.
    let learns = search.task.bind("template.text", &own)?.prompt_len() > 0;
    let own = learns.then_some(own);
    let mut alive: Vec<(usize, String)> = own.into_iter().chain(others).enumerate().collect();
    alive.truncate(options.candidates);
    let rungs = rungs(alive.len(), options.epochs);
    let trainings: usize = rungs.iter().map(|rung| rung.candidates * options.seeds).sum();
    search.expect(1 + trainings);
    for rung in rungs {
        let mut scored = Vec::new();
        for (number, layout) in alive.into_iter().take(rung.candidates) {
            let mut scores = Vec::new();
            for seed in (0..options.seeds as u64).map(|seed| first_seed.wrapping_add(seed)) {
                let name = format!("{}-seed{seed}", number + 1);
                let trial = Trial { layout: layout.clone(), seed, name };
                scores.extend(train(search, &trial, rung.epochs)?);
            }
            if !scores.is_empty() {
                scored.push((mean(&scores), (number, layout)));
            }
        }
        alive = best(scored, usize::MAX).into_iter().map(|(_, candidate)| candidate).collect();
    }
    Ok(())
}
