//! `ptune estimate`.

use std::collections::BTreeMap;
use std::io::Write;

use backbone::{Memory, Options, registry};
use serde_json::json;

use super::bench::{check_length, random_sizes, shape};
use super::open::{self, Fetching};
use crate::args::EstimateArgs;
use crate::exit::Outcome;

/// Tells the memory of a training step without loading a weight.
pub fn run(args: &EstimateArgs) -> anyhow::Result<Outcome> {
    let shape = shape(&args.shape, 1)?;
    let fetching = Fetching { offline: args.shape.offline, quiet: args.json, interrupt: None };
    let options = Options::default();
    let device = open::device(&args.shape.device, options)?;
    let footprint = match random_sizes(&args.shape.backbone)? {
        Some(sizes) => registry::random_footprint(&sizes, &device, options)?,
        None => {
            let path = open::locate(&args.shape.backbone, fetching)?;
            registry::footprint(&path, &device, options)?
        }
    };
    check_length(args.shape.length, footprint.max_positions)?;
    let modes = [("tape", Memory::Tape), ("recompute", Memory::Recompute)]
        .map(|(name, memory)| (name, shape.estimate(&footprint, memory)));
    let mut out = std::io::stdout().lock();
    if args.json {
        let modes: BTreeMap<&str, _> = modes
            .iter()
            .map(|(name, parts)| {
                let total: usize = parts.iter().map(|(_, bytes)| bytes).sum();
                let parts: BTreeMap<_, _> = parts.iter().copied().collect();
                (*name, json!({ "peak_memory_bytes": total, "parts": parts }))
            })
            .collect();
        writeln!(out, "{}", json!({ "parameters": footprint.parameters, "memory": modes }))?;
        return Ok(Outcome::Done);
    }
    writeln!(
        out,
        "{}: {:.1} million parameters; batch {}, length {}, {} virtual tokens of which {} lead",
        args.shape.backbone,
        footprint.parameters as f64 / 1e6,
        shape.batch,
        shape.length,
        shape.prompt,
        shape.leading
    )?;
    for (name, parts) in modes {
        let total: usize = parts.iter().map(|(_, bytes)| bytes).sum();
        writeln!(out, "memory = \"{name}\"{:>w$.2} GB", total as f64 / 1e9, w = 25 - name.len())?;
        for (part, bytes) in parts {
            writeln!(out, "  {part:<26} {:>6.2} GB", bytes as f64 / 1e9)?;
        }
    }
    Ok(Outcome::Done)
}
