//! Opening what commands work on: backbones and runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context;
use backbone::device::Device;
use backbone::source::fetch::hub::{self, Hub, HubError, HubModel};
use backbone::source::fetch::{self, FetchEvent, Located, Missing};
use backbone::{Backbone, DeviceSpec, Options, registry};
use trainer::checkpoint::Checkpoint;
use trainer::prompt::Prompt;
use trainer::run_dir::{Job, RunDir};
use trainer::runs::TASKS;
use trainer::settings::{Settings, Split, neighbour};
use trainer::task::{Task, backbone_options};

use crate::args::{SplitArg, Which};
use crate::console::say;
use crate::exit::Hinted;
use crate::interrupt::Interrupt;
use crate::progress::FetchProgress;

impl From<SplitArg> for Split {
    fn from(split: SplitArg) -> Self {
        match split {
            SplitArg::Train => Self::Train,
            SplitArg::Dev => Self::Dev,
            SplitArg::Test => Self::Test,
        }
    }
}

/// How a missing backbone is treated.
#[derive(Clone, Copy)]
pub struct Fetching<'a> {
    /// Refuse to download.
    pub offline: bool,
    /// Say nothing about it.
    pub quiet: bool,
    /// Ctrl-C, where it is handled.
    pub interrupt: Option<&'a Interrupt>,
}

/// The file or folder of a backbone, downloaded if it is missing.
pub fn locate(source: &str, fetching: Fetching<'_>) -> anyhow::Result<PathBuf> {
    let missing = match fetch::resolve(source, Path::new("."))? {
        Located::Present(path) => return Ok(path),
        Located::Missing(missing) => missing,
    };
    let lacks = match &missing {
        Missing::Catalogue(_) => String::new(),
        Missing::Hub(_, lacks) => format!(": {lacks}"),
    };
    if fetching.offline {
        return Err(Hinted {
            message: format!(
                "the backbone '{missing}' is not here{lacks}, and --offline forbids to download it"
            ),
            hint: format!("run `ptune fetch {missing}` where there is a network, or name a folder"),
        }
        .into());
    }
    if !fetching.quiet {
        say!("the backbone '{missing}' is not here yet{lacks}");
    }
    match missing {
        Missing::Catalogue(model) => download(model.name, fetching),
        Missing::Hub(model, _) => download_from_hub(&model, fetching),
    }
}

/// Downloads a backbone of the catalogue.
pub fn download(name: &str, fetching: Fetching<'_>) -> anyhow::Result<PathBuf> {
    let cache = fetch::cache_dir()?;
    watched(fetching, |cancel, progress| Ok(fetch::fetch(name, &cache, cancel, progress)?))
}

/// Downloads a backbone of a hub, or brings it up to date.
pub fn download_from_hub(model: &HubModel, fetching: Fetching<'_>) -> anyhow::Result<PathBuf> {
    let hub = Hub::from_env()?;
    watched(fetching, |cancel, progress| Ok(hub::fetch(model, &hub, cancel, progress)?))
}

/// Runs a download with its progress shown and Ctrl-C heard.
fn watched(
    fetching: Fetching<'_>,
    download: impl FnOnce(&AtomicBool, &mut dyn FnMut(FetchEvent)) -> anyhow::Result<PathBuf>,
) -> anyhow::Result<PathBuf> {
    let mut progress = FetchProgress::new(fetching.quiet);
    let never = AtomicBool::new(false);
    let cancel = fetching.interrupt.map_or(&never, |interrupt| interrupt.fetching.as_ref());
    download(cancel, &mut |event| progress.on(event))
}

/// What came of a download and what follows it, or `None`, told in words, if Ctrl-C came first.
pub fn unless_interrupted<T>(
    result: anyhow::Result<T>,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<T>> {
    match result {
        Err(error) if interrupt.training.should_stop() => {
            say!("interrupted; {}", left_behind(&error));
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// What an interrupted download leaves, in words.
fn left_behind(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref::<HubError>() {
        Some(_) => "what has come is kept for the next time",
        None => "nothing was left behind",
    }
}

/// A device that can run a backbone in this way.
pub fn device(name: &str, options: Options) -> anyhow::Result<Device> {
    let spec: DeviceSpec = name.parse()?;
    let device = spec.open()?;
    registry::check(options, &device)?;
    Ok(device)
}

/// A backbone on a device, with a line about it on stderr.
pub fn backbone(
    source: &str,
    device_name: &str,
    options: Options,
    fetching: Fetching<'_>,
) -> anyhow::Result<Backbone> {
    // The device first: a wrong name should not wait for a download.
    let device = device(device_name, options)?;
    let path = locate(source, fetching)?;
    let started = Instant::now();
    let backbone = backbone::load_with(&path, &device, options)?;
    if !fetching.quiet {
        let model = &backbone.model;
        say!(
            "backbone {source} ({}, {} wide, {} words) on {device_name}, loaded in {:.1} s",
            backbone.identity.family,
            model.hidden_size(),
            model.vocab_size(),
            started.elapsed().as_secs_f64()
        );
    }
    Ok(backbone)
}

/// The backbone of some settings.
pub fn settings_backbone(settings: &Settings, fetching: Fetching<'_>) -> anyhow::Result<Backbone> {
    let options = backbone_options(&settings.backbone);
    backbone(&settings.backbone.source, &settings.device, options, fetching)
}

/// A run folder with the prompt of one of its checkpoints, in front of its backbone. Needs no data.
pub struct OpenRun {
    /// The folder.
    pub run: RunDir,
    /// Its settings.
    pub settings: Settings,
    /// Its backbone.
    pub backbone: Backbone,
    /// The prompt.
    pub prompt: Prompt,
    /// What it was made from.
    pub checkpoint: Checkpoint,
}

/// Sections and keys that the checkpoints of a run have settled.
pub const SETTLED: [&str; 8] =
    ["template", "prompt_encoder", "verbalizer", "spans", "lm", "seed", "name", "runs"];

/// Refuses overrides of what a run has settled: they would change nothing, or only its record.
pub fn check_overrides(overrides: &[String], settled: &[&str]) -> anyhow::Result<()> {
    for argument in overrides {
        let key = argument.split('=').next().unwrap_or_default().trim();
        if settled.contains(&key.split('.').next().unwrap_or_default()) {
            return Err(Hinted {
                message: format!("--set {argument}: `{key}` of a run that is there cannot change"),
                hint: "`ptune train` with another --name makes a run with it".to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

/// Refuses to go on with a run that has not saved anything.
pub fn check_last(run: &RunDir) -> anyhow::Result<()> {
    if run.last().is_file() {
        return Ok(());
    }
    Err(Hinted {
        message: format!("{}: the run has nothing to go on from", run.last().display()),
        hint: "`ptune train --force` with its config starts it again".to_owned(),
    }
    .into())
}

/// Opens a run for use.
pub fn run(
    path: &Path,
    overrides: &[String],
    which: Which,
    fetching: Fetching<'_>,
) -> anyhow::Result<OpenRun> {
    let run = RunDir::open(path)?;
    let other = match run.info()?.job {
        Job::Train => None,
        Job::Adapt => Some((
            "this run trained a language model, not a prompt",
            format!("its model is a backbone: --set backbone.source={}", run.model().display()),
        )),
        Job::Together => Some((
            "this run trained several tasks together",
            format!("each has a run of its own in {}", path.join(TASKS).display()),
        )),
        Job::Search => Some((
            "this run searched for a prompt and trained none",
            format!("`ptune resume {}` prints what it has found", path.display()),
        )),
    };
    if let Some((what, hint)) = other {
        return Err(Hinted { message: format!("{}: {what}", path.display()), hint }.into());
    }
    let settings = run.settings(overrides)?;
    check_overrides(overrides, &SETTLED)?;
    check_overrides(overrides, &["train"])?;
    let file = match which {
        Which::Best => run.best(),
        Which::Last => run.last(),
    };
    if !file.is_file() {
        return Err(Hinted {
            message: format!("{}: the run has no such checkpoint yet", file.display()),
            hint: format!("`ptune resume {}` finishes its first epoch", path.display()),
        }
        .into());
    }
    let checkpoint = Checkpoint::load(&file)?;
    let backbone = settings_backbone(&settings, fetching)?;
    let prompt = Prompt::from_checkpoint(&checkpoint, &file, &backbone)
        .with_context(|| format!("{}", file.display()))?;
    Ok(OpenRun { run, settings, backbone, prompt, checkpoint })
}

/// Refuses a file that is not there before anything is fetched for it.
pub fn check_file(flag: &str, file: &Path) -> anyhow::Result<()> {
    if file.is_file() {
        return Ok(());
    }
    let folder = file.exists();
    let found = if folder { "a folder" } else { "nothing" };
    let near = if folder { Some("name a file in it".to_owned()) } else { neighbour(file) };
    Err(Hinted {
        message: format!("{flag} {}: expected a file, found {found}", file.display()),
        hint: near.unwrap_or_else(|| "a path is relative to the current directory".to_owned()),
    }
    .into())
}

/// Data and backbone of some settings.
pub fn task(settings: Settings, fetching: Fetching<'_>) -> anyhow::Result<Task> {
    let backbone = settings_backbone(&settings, fetching)?;
    Ok(Task::load(settings, backbone)?)
}

/// Makes the folder that a file is to be written in.
pub fn make_parent(path: &Path) -> anyhow::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot be created", folder.display()))?;
    }
    Ok(())
}
