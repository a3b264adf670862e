//! `ptune import`.

use backbone::Options;
use trainer::export::export_safetensors;
use trainer::import::import;

use super::export::refuse_existing;
use super::open::{self, Fetching, make_parent};
use crate::args::ImportArgs;
use crate::console;
use crate::console::note;
use crate::exit::{Hinted, Outcome};

/// Turns a prompt of another program into a file of ptune's.
pub fn run(args: &ImportArgs) -> anyhow::Result<Outcome> {
    refuse_existing(&args.out, args.force)?;
    if !args.from.exists() {
        let hint = trainer::settings::neighbour(&args.from);
        return Err(Hinted {
            message: format!("{}: no such file or folder", args.from.display()),
            hint: hint.unwrap_or_else(|| "a path is relative to the current directory".to_owned()),
        }
        .into());
    }
    let fetching = Fetching { offline: args.offline, quiet: console::is_quiet(), interrupt: None };
    let backbone = open::backbone(&args.backbone, &args.device, Options::default(), fetching)?;
    let imported = import(&args.from, args.template.as_deref(), &backbone)?;
    let template = imported.prompt.template.template();
    note!(
        "{}: {} vectors in \"{}\"",
        imported.kind,
        imported.prompt.template.prompt_len(),
        template.source()
    );
    if imported.unused > 0 {
        note!(
            "{} more vectors, for which the template has no place, are left out",
            imported.unused
        );
    }
    make_parent(&args.out)?;
    export_safetensors(&args.out, &imported.prompt, &backbone, &args.backbone)?;
    note!("wrote {}; read back, equal to what was imported", args.out.display());
    crate::tables::line(&args.out.display())?;
    Ok(Outcome::Done)
}
