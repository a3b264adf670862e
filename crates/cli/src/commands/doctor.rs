//! `ptune doctor`.

use std::io::Write;

use backbone::device::{DeviceSpec, Kind, Place};
use backbone::registry::families;
use backbone::source::fetch::hub::Hub;
use backbone::source::fetch::{CATALOGUE, cache_dir, installed};

use crate::exit::Outcome;

/// Lists what works here.
pub fn run() -> anyhow::Result<Outcome> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ptune {}", env!("CARGO_PKG_VERSION"))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    writeln!(out, "cpu   {} threads{}", threads, simd())?;
    writeln!(out, "\ndevices")?;
    for kind in Kind::ALL {
        let state = if !kind.is_built() {
            format!("not built in (cargo build --release --features {})", kind.name())
        } else {
            match (DeviceSpec { kind, place: Place::Default }).open() {
                Ok(_) => "works".to_owned(),
                Err(error) => {
                    let text = error.to_string();
                    text.lines().next().unwrap_or_default().to_owned()
                }
            }
        };
        writeln!(out, "  {:<7} {:<56} {state}", kind.name(), kind.description())?;
    }
    writeln!(out, "\nbackbones")?;
    let cache = cache_dir()?;
    for model in CATALOGUE {
        let state = match installed(model, &cache) {
            Some(path) => path.display().to_string(),
            None => format!("not fetched (ptune fetch {})", model.name),
        };
        writeln!(out, "  {:<16} {state}", model.name)?;
    }
    writeln!(out, "  families: {}", families().collect::<Vec<_>>().join(", "))?;
    writeln!(out, "  any of a Hugging Face hub: `ptune backbones` lists what is here")?;
    writeln!(out, "\nfolders\n  cache {}", cache.display())?;
    match Hub::from_env() {
        Ok(hub) => {
            let offline = if hub.offline { " (HF_HUB_OFFLINE is set)" } else { "" };
            writeln!(out, "  hub   {}, from {}{offline}", hub.cache.display(), hub.endpoint)?;
        }
        Err(error) => {
            let text = error.to_string();
            writeln!(out, "  hub   {}", text.lines().next().unwrap_or_default())?;
        }
    }
    Ok(Outcome::Done)
}

/// The widest vector instructions that the CPU backend will use.
fn simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return ", AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return ", AVX2";
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        return ", NEON";
    }
    #[allow(unreachable_code, reason = "some architectures return above")]
    ""
}
