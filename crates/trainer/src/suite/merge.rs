//! Joining parts of a suite that were run in folders of their own.

use std::path::Path;

use super::error::SuiteError;
use super::folder::{Plan, State, SuiteDir};
use crate::error::Error;
use crate::run_dir::EVALUATION;

/// Copies the cells that are done in any of `parts` into `out`; returns how many were new to it.
///
/// # Errors
/// Parts of different suites, a cell with different scores in two of them, a disk that cannot be written.
pub fn merge(parts: &[&Path], out: &Path) -> Result<(SuiteDir, usize), Error> {
    let opened: Vec<SuiteDir> =
        parts.iter().map(|part| SuiteDir::open(part)).collect::<Result<_, _>>()?;
    let plans: Vec<Plan> = opened.iter().map(SuiteDir::plan).collect::<Result<_, _>>()?;
    let Some(plan) = plans.first() else {
        return Err(SuiteError::IntoItself { path: out.to_owned() }.into());
    };
    for (part, other) in opened.iter().zip(&plans) {
        same_plan((parts[0], plan), (part.path(), other))?;
        if is_same(part.path(), out) {
            return Err(SuiteError::IntoItself { path: out.to_owned() }.into());
        }
    }
    let joined = match SuiteDir::open(out) {
        Ok(joined) => {
            same_plan((parts[0], plan), (out, &joined.plan()?))?;
            joined
        }
        Err(_) if is_empty(out) => SuiteDir::create_for(out, plan)?,
        Err(_) => return Err(SuiteError::Taken { folder: out.to_owned() }.into()),
    };
    // All that could be wrong is looked for before anything is copied.
    let mut copies = Vec::new();
    for part in &opened {
        for cell in &plan.cells {
            let id = &cell.id;
            if part.state(id) != State::Done {
                continue;
            }
            let known = match joined.state(id) {
                State::Done => Some(joined.cell(id)),
                _ => copies
                    .iter()
                    .find(|(known, _)| *known == id)
                    .map(|(_, from): &(_, &SuiteDir)| from.cell(id)),
            };
            match known {
                None => copies.push((id, part)),
                Some(known) if scores(&known)? == scores(&part.cell(id))? => {}
                Some(_) => {
                    let (part, out) = (part.path().to_owned(), out.to_owned());
                    return Err(SuiteError::Twice { cell: id.clone(), part, out }.into());
                }
            }
        }
    }
    for (id, part) in &copies {
        copy(&part.cell(id), &joined.cell(id))?;
    }
    let count = copies.len();
    Ok((joined, count))
}

fn same_plan((first, plan): (&Path, &Plan), (part, other): (&Path, &Plan)) -> Result<(), Error> {
    let what = match () {
        () if plan == other => return Ok(()),
        () if plan.name != other.name => "name",
        () if plan.tasks != other.tasks => "tasks",
        () if plan.variants != other.variants => "templates or encoders",
        () if plan.seeds != other.seeds => "seeds",
        () => "cells",
    };
    let (part, first) = (part.to_owned(), first.to_owned());
    Err(SuiteError::OtherPlan { part, first, what }.into())
}

fn is_same(a: &Path, b: &Path) -> bool {
    a.canonicalize().ok().is_some_and(|a| b.canonicalize().ok() == Some(a))
}

fn is_empty(folder: &Path) -> bool {
    !folder.exists() || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn scores(cell: &Path) -> Result<Vec<u8>, Error> {
    let path = cell.join(EVALUATION);
    std::fs::read(&path).map_err(Error::io(&path, "read"))
}

/// Copies a run folder; its scores last, since they say that it is whole.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if to.exists() {
        std::fs::remove_dir_all(to).map_err(Error::io(to, "removed"))?;
    }
    std::fs::create_dir_all(to).map_err(Error::io(to, "created"))?;
    let entries = std::fs::read_dir(from).map_err(Error::io(from, "read"))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(from, "read"))?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort_by_key(|path| path.ends_with(EVALUATION));
    for file in files {
        let target = to.join(file.file_name().unwrap_or_default());
        std::fs::copy(&file, &target).map_err(Error::io(&target, "written"))?;
    }
    Ok(())
}
