//! `ptune fetch`.

use std::io::Write;

use backbone::source::fetch::hub::HubModel;
use backbone::source::fetch::{CATALOGUE, cache_dir, find, installed};

use super::open::{self, Fetching};
use crate::args::FetchArgs;
use crate::console::say;
use crate::exit::Outcome;
use crate::interrupt::Interrupt;
use crate::{console, tables};

/// Downloads a backbone, or lists those there are.
pub fn run(args: &FetchArgs) -> anyhow::Result<Outcome> {
    let cache = cache_dir()?;
    let Some(name) = &args.name else {
        let mut out = std::io::stdout().lock();
        for model in CATALOGUE {
            let here = if installed(model, &cache).is_some() { "here" } else { "not fetched" };
            writeln!(
                out,
                "{:<16} {:<12} {:<12} {}",
                model.name, here, model.licence, model.summary
            )?;
        }
        writeln!(
            out,
            "{:<16} any other of a Hugging Face hub; `ptune backbones` lists what is here",
            "hf:ORG/MODEL"
        )?;
        return Ok(Outcome::Done);
    };
    let interrupt = Interrupt::install();
    let fetching =
        Fetching { offline: false, quiet: console::is_quiet(), interrupt: Some(&interrupt) };
    let fetched = if HubModel::is_meant(name) {
        // Also one that is here: its branch may have moved on.
        open::download_from_hub(&name.parse()?, fetching)
    } else {
        if let Some(path) = find(name).and_then(|model| installed(model, &cache)) {
            if !console::is_quiet() {
                say!("{name} is here already");
            }
            tables::line(&path.display())?;
            return Ok(Outcome::Done);
        }
        open::download(name, fetching)
    };
    let Some(path) = open::unless_interrupted(fetched, &interrupt)? else {
        return Ok(Outcome::Interrupted);
    };
    tables::line(&path.display())?;
    Ok(Outcome::Done)
}
