//! `ptune estimate`.

use std::collections::BTreeMap;
use std::io::Write;

use backbone::{Memory, Options, TensorReport, registry};
use serde_json::json;

use super::bench::{check_length, random_sizes, shape};
use super::open::{self, Fetching};
use crate::args::EstimateArgs;
use crate::console;
use crate::exit::{Hinted, Outcome};

/// Tells the memory of a training step without loading a weight.
pub fn run(args: &EstimateArgs) -> anyhow::Result<Outcome> {
    if args.tensors {
        return tensors(args);
    }
    let shape = shape(&args.shape, 1)?;
    let fetching = Fetching {
        offline: args.shape.offline,
        quiet: args.json || console::is_quiet(),
        interrupt: None,
    };
    let options = Options { rounding: args.shape.rounding.rounding(), ..Options::default() };
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

/// Tells what becomes of every tensor, and then whether a backbone can be made of them.
fn tensors(args: &EstimateArgs) -> anyhow::Result<Outcome> {
    let source = &args.shape.backbone;
    if random_sizes(source)?.is_some() {
        return Err(Hinted {
            message: format!("--tensors: {source} has no files"),
            hint: "name a folder, a .gguf file or a backbone of `ptune fetch`".to_owned(),
        }
        .into());
    }
    let fetching = Fetching {
        offline: args.shape.offline,
        quiet: args.json || console::is_quiet(),
        interrupt: None,
    };
    let (report, checked) = registry::tensors(&open::locate(source, fetching)?)?;
    let mut out = std::io::stdout().lock();
    let TensorReport { applied, missing, misshapen, unused, not_needed, .. } = &report;
    if args.json {
        let missing: Vec<_> = missing
            .iter()
            .map(|tensor| json!({ "name": tensor.name, "shape": tensor.shape, "nearest": tensor.nearest }))
            .collect();
        let misshapen: Vec<_> = misshapen
            .iter()
            .map(|tensor| json!({ "name": tensor.name, "expected": tensor.expected, "found": tensor.found }))
            .collect();
        let told = json!({
            "applied": applied, "missing": missing, "misshapen": misshapen, "unused": unused,
            "not_needed": not_needed,
        });
        writeln!(out, "{told}")?;
    } else {
        writeln!(
            out,
            "{source}: {} tensors: {} applied, {} of another shape, {} unused, {} not needed; {} missing",
            report.total(),
            applied.len(),
            misshapen.len(),
            unused.len(),
            not_needed.len(),
            missing.len()
        )?;
        for tensor in misshapen {
            let (expected, found) = (&tensor.expected, &tensor.found);
            writeln!(
                out,
                "  shape       {}: {expected:?} by the config, found {found:?}",
                tensor.name
            )?;
        }
        for tensor in missing {
            let nearest = tensor.nearest.as_ref().map(|name| format!("; the nearest is {name}"));
            let nearest = nearest.unwrap_or_default();
            writeln!(out, "  missing     {} {:?}{nearest}", tensor.name, tensor.shape)?;
        }
        for name in unused {
            writeln!(out, "  unused      {name}")?;
        }
        for name in not_needed {
            writeln!(out, "  not needed  {name}")?;
        }
    }
    checked?;
    Ok(Outcome::Done)
}
