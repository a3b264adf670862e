//! `ptune init`.

use std::io::Write;
use std::path::Path;

use clap::ValueEnum;
use trainer::checkpoint::atomically;

use super::open::make_parent;
use crate::args::{InitArgs, StarterArg};
use crate::console::say;
use crate::exit::{Hinted, Outcome};
use crate::{console, shell, tables};

/// What stands in a starter for the name of its own file.
const FILE: &str = "{file}";

/// Writes a config to begin with.
pub fn run(args: &InitArgs) -> anyhow::Result<Outcome> {
    let Some(kind) = args.kind else {
        let mut out = std::io::stdout().lock();
        for value in StarterArg::value_variants().iter().filter_map(StarterArg::to_possible_value) {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            writeln!(out, "{:<10} {help}", value.get_name())?;
        }
        return Ok(Outcome::Done);
    };
    let name = args.out.to_string_lossy();
    if name == "-" {
        let text = kind.text().replace(FILE, "ptune.toml");
        std::io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(Outcome::Done);
    }
    check_free(&args.out, args.force)?;
    let text = kind.text().replace(FILE, &shell::word(&name));
    make_parent(&args.out)?;
    atomically(&args.out, text.as_bytes())?;
    tables::line(&name)?;
    if !console::is_quiet() {
        let file = shell::word(&name);
        say!("\nnext: say in it where your data is, then\n  ptune validate {file}");
    }
    Ok(Outcome::Done)
}

fn check_free(file: &Path, force: bool) -> anyhow::Result<()> {
    if file.is_dir() || file.exists() && !force {
        let found = if file.is_dir() { "a folder" } else { "a file" };
        return Err(Hinted {
            message: format!("{}: {found} is there already; it is not overwritten", file.display()),
            hint: match file.is_dir() {
                true => "--out FILE names a file".to_owned(),
                false => "--out FILE writes beside it, --force replaces it".to_owned(),
            },
        }
        .into());
    }
    Ok(())
}

impl StarterArg {
    /// The config, commented.
    fn text(self) -> &'static str {
        match self {
            Self::Facts => include_str!("../starters/facts.toml"),
            Self::Labels => include_str!("../starters/labels.toml"),
            Self::Pair => include_str!("../starters/pair.toml"),
            Self::Entities => include_str!("../starters/entities.toml"),
            Self::Adapt => include_str!("../starters/adapt.toml"),
        }
    }
}
