//! `ptune doctor`.

use std::io::{self, Write};
use std::path::PathBuf;

use backbone::device::{DeviceSpec, Kind, Place};
use backbone::registry::families;
use backbone::source::fetch::hub::Hub;
use backbone::source::fetch::{CATALOGUE, cache_dir, installed};
use serde::Serialize;

use crate::args::{DoctorArgs, Format};
use crate::exit::Outcome;
use crate::tables;

/// What works here, and what does not.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    threads: usize,
    /// The widest vector instructions that the CPU backend will use.
    simd: Option<&'static str>,
    devices: Vec<DeviceState>,
    /// The pinned ones.
    backbones: Vec<BackboneState>,
    families: Vec<&'static str>,
    cache: PathBuf,
    hub: HubState,
}

#[derive(Debug, Serialize)]
struct DeviceState {
    name: &'static str,
    description: &'static str,
    built: bool,
    works: bool,
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct BackboneState {
    name: &'static str,
    path: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct HubState {
    cache: Option<PathBuf>,
    endpoint: Option<String>,
    offline: bool,
    problem: Option<String>,
}

/// Lists what works here.
pub fn run(args: &DoctorArgs) -> anyhow::Result<Outcome> {
    let cache = cache_dir()?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        simd: simd(),
        devices: Kind::ALL.into_iter().map(device).collect(),
        backbones: CATALOGUE
            .iter()
            .map(|model| BackboneState { name: model.name, path: installed(model, &cache) })
            .collect(),
        families: families().collect(),
        cache,
        hub: hub(),
    };
    if args.json || args.format == Format::Json {
        tables::json(&report)?;
    } else {
        table(&report)?;
    }
    Ok(Outcome::Done)
}

fn device(kind: Kind) -> DeviceState {
    let opened = kind.is_built().then(|| (DeviceSpec { kind, place: Place::Default }).open());
    let problem = match &opened {
        Some(Ok(_)) => None,
        Some(Err(error)) => Some(first_line(error)),
        None => Some(format!("not built in (cargo build --release --features {})", kind.name())),
    };
    DeviceState {
        name: kind.name(),
        description: kind.description(),
        built: kind.is_built(),
        works: problem.is_none(),
        problem,
    }
}

fn hub() -> HubState {
    match Hub::from_env() {
        Ok(hub) => HubState {
            cache: Some(hub.cache),
            endpoint: Some(hub.endpoint),
            offline: hub.offline,
            problem: None,
        },
        Err(error) => HubState { problem: Some(first_line(&error)), ..HubState::default() },
    }
}

fn first_line(error: &impl ToString) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn table(report: &Report) -> io::Result<()> {
    let Report { version, threads, simd, devices, backbones, families, cache, hub } = report;
    let mut out = io::stdout().lock();
    writeln!(out, "ptune {version}")?;
    let simd = simd.map(|simd| format!(", {simd}")).unwrap_or_default();
    writeln!(out, "cpu   {threads} threads{simd}")?;
    writeln!(out, "\ndevices")?;
    for DeviceState { name, description, problem, .. } in devices {
        writeln!(out, "  {name:<7} {description:<56} {}", problem.as_deref().unwrap_or("works"))?;
    }
    writeln!(out, "\nbackbones")?;
    for BackboneState { name, path } in backbones {
        let state = match path {
            Some(path) => path.display().to_string(),
            None => format!("not fetched (ptune fetch {name})"),
        };
        writeln!(out, "  {name:<16} {state}")?;
    }
    writeln!(out, "  families: {}", families.join(", "))?;
    writeln!(out, "  any of a Hugging Face hub: `ptune backbones` lists what is here")?;
    writeln!(out, "\nfolders\n  cache {}", cache.display())?;
    match (&hub.cache, &hub.endpoint) {
        (Some(cache), Some(endpoint)) => {
            let offline = if hub.offline { " (HF_HUB_OFFLINE is set)" } else { "" };
            writeln!(out, "  hub   {}, from {endpoint}{offline}", cache.display())
        }
        _ => writeln!(out, "  hub   {}", hub.problem.as_deref().unwrap_or_default()),
    }
}

/// The widest vector instructions that the CPU backend will use.
fn simd() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return Some("AVX-512");
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return Some("AVX2");
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        return Some("NEON");
    }
    #[allow(unreachable_code, reason = "some architectures return above")]
    None
}
