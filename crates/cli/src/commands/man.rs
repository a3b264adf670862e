//! `ptune man`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;
use trainer::checkpoint::atomically;

use crate::args::{Cli, ManArgs};
use crate::exit::Outcome;

/// Prints the manual page of ptune, or writes those of all commands.
pub fn run(args: &ManArgs) -> anyhow::Result<Outcome> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = &args.folder else {
        let page = page(&Man::new(command))?;
        std::io::stdout().lock().write_all(&page)?;
        return Ok(Outcome::Done);
    };
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    write(&Man::new(command.clone()), folder)?;
    for command in command.get_subcommands() {
        write(&Man::new(command.clone()), folder)?;
    }
    Ok(Outcome::Done)
}

fn page(man: &Man) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok(page)
}

fn write(man: &Man, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(man.get_filename());
    atomically(&path, &page(man)?)?;
    writeln!(std::io::stdout(), "{}", path.display())?;
    Ok(())
}
