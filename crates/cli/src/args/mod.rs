//! The command line.

mod answers;
mod config;
mod console;
mod measure;
mod runs;
mod search;
mod shells;
mod ship;
mod suite;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use answers::AnswersArgs;
pub use config::{ConfigArgs, InitArgs, StarterArg, ValidateArgs};
pub use console::{ConsoleArgs, LogFormat};
pub use measure::{BenchArgs, DtypeArg, EncoderArg, EstimateArgs, ShapeArgs, Without};
pub use runs::LsArgs;
pub use search::{LimitArgs, MethodArg, SearchArgs, SensitivityArgs};
pub use shells::{CompletionsArgs, DoctorArgs, ManArgs};
pub use ship::{ExportArgs, ExportFormat, ImportArgs, PeftTypeArg};
pub use suite::{CompareArgs, MergeArgs, SuiteArgs, SuiteCommand};

/// P-tuning workbench: train, judge, explain and ship continuous prompts of frozen language models.
#[derive(Debug, Parser)]
#[command(name = "ptune", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 a --fail-under was not met, 2 bad input, 130 interrupted."
)]
pub struct Cli {
    #[command(flatten)]
    pub console: ConsoleArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a prompt, judge it and export it.
    Train(TrainArgs),
    /// Go on with a run that was interrupted, as if it had not been.
    Resume(ResumeArgs),
    /// Train a language model itself on a text, to prompt it afterwards.
    Adapt(AdaptArgs),
    /// Judge a run, or a template of plain words without training.
    Eval(EvalArgs),
    /// Find prompts: mined, paraphrased, by gradients, by edits, or P-tuning's best layout.
    Search(Box<SearchArgs>),
    /// Tell how much the score depends on the wording.
    Sensitivity(SensitivityArgs),
    /// Run many trainings from one file, and tell them in one table.
    Suite(Box<SuiteArgs>),
    /// Put runs side by side, with intervals of their differences.
    Compare(CompareArgs),
    /// Answer new inputs with a trained prompt.
    Predict(PredictArgs),
    /// Show a template as encoded, and the words that each learned vector resembles.
    Inspect(InspectArgs),
    /// Write a trained prompt to a file or folder that needs no encoder.
    Export(ExportArgs),
    /// Turn a prompt of PEFT's, of the published P-tuning code or of OptiPrompt into ptune's.
    Import(ImportArgs),
    /// List runs: how far each has come, its scores, when it began.
    Ls(LsArgs),
    /// Write a commented config to begin with.
    Init(InitArgs),
    /// Tell everything that is wrong with configs, and try one batch; writes nothing.
    Validate(ValidateArgs),
    /// Tell what the keys of a config are: description, values, default, example.
    Config(ConfigArgs),
    /// Download a backbone: a pinned one, or any of a Hugging Face hub that ptune reads.
    Fetch(FetchArgs),
    /// List the backbones that are here, and what of them can be used.
    Backbones(BackbonesArgs),
    /// List devices, backbones and folders, and what is wrong with them.
    Doctor(DoctorArgs),
    /// Time training and evaluation steps of a given shape on a backbone.
    Bench(BenchArgs),
    /// Tell a step's memory, or what becomes of a backbone's tensors, from headers alone.
    Estimate(EstimateArgs),
    /// Print what completes commands in a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands.
    Man(ManArgs),
}

/// Settings that several commands take.
#[derive(Debug, Args)]
pub struct Overrides {
    /// Set a key of the config: `train.lr=3e-4`, `template.text="[h:6] [x] [z]"`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Device: flex, wgpu, vulkan, cuda or tch, or one of several as in cuda:1; `ptune doctor` lists them.
    #[arg(long)]
    pub device: Option<String>,
}

impl Overrides {
    /// All of them as `KEY=VALUE`.
    pub fn all(&self) -> Vec<String> {
        let mut all = self.set.clone();
        all.extend(self.device.as_deref().map(|device| assign("device", device)));
        all
    }
}

/// `key="value"`, quoted so that no value is taken for a number.
fn assign(key: &str, value: &str) -> String {
    format!("{key}={}", serde_json::Value::from(value))
}

/// What a new run takes beside its config.
#[derive(Debug, Args)]
pub struct NewRun {
    #[command(flatten)]
    pub overrides: Overrides,
    /// Name of the run folder, instead of the config's.
    #[arg(long)]
    pub name: Option<String>,
    /// Replace an earlier run of the same name.
    #[arg(long)]
    pub force: bool,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
}

impl NewRun {
    /// All settings that are given on the command line, as `KEY=VALUE`.
    pub fn overrides(&self) -> Vec<String> {
        let mut all = self.overrides.all();
        all.extend(self.name.as_deref().map(|name| assign("name", name)));
        all
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    ptune train --config configs/lama.toml --set train.lr=3e-4 --name lr-3e-4\n  \
    ptune train --config configs/both-ways.toml --config configs/both-ways-p1376.toml --name both-ways")]
pub struct TrainArgs {
    /// Config file; configs/lama.toml documents every key. Several of them are tasks that learn together:
    /// virtual tokens that their templates tie by the same name are shared, and the first one says how all are
    /// trained.
    #[arg(long, value_name = "FILE", required = true)]
    pub config: Vec<PathBuf>,
    #[command(flatten)]
    pub run: NewRun,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Example: ptune adapt --config configs/adapt-bert.toml --set text.path=my/text.txt.gz"
)]
pub struct AdaptArgs {
    /// Config file; configs/adapt-bert.toml documents its own keys, configs/lama.toml everything else.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    #[command(flatten)]
    pub run: NewRun,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Example: ptune resume checkpoints/runs/lama-p36")]
pub struct ResumeArgs {
    /// Run folder.
    pub run: PathBuf,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitArg {
    /// What the prompt learned from.
    Train,
    /// What chose the epoch to keep.
    Dev,
    /// What neither saw.
    Test,
}

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// The best epoch on dev.
    Best,
    /// Where training ended.
    Last,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  ptune eval checkpoints/runs/lama-p36 --split test --fail-under p1=0.4\n  \
    ptune eval --config configs/lama.toml --split test     # the manual template alone\n  \
    ptune eval --config configs/lama.toml --prompt lama-p36.safetensors"
)]
pub struct EvalArgs {
    /// Run folder; leave it out and give --config to score the manual template alone.
    #[arg(required_unless_present = "config", conflicts_with = "config")]
    pub run: Option<PathBuf>,
    /// Config whose manual template to score without training.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Exported or imported prompt to judge as well, on the config's data and backbone.
    #[arg(long, value_name = "FILE", requires = "config")]
    pub prompt: Option<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Split to judge on; the config's eval.splits by default.
    #[arg(long, value_enum)]
    pub split: Option<SplitArg>,
    /// Which checkpoint.
    #[arg(long, value_enum, default_value = "best")]
    pub checkpoint: Which,
    /// How to print the scores.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Exit with 1 if a score is lower: p1=0.4, p10=0.7, mrr=0.5 or, of labels or entities, f1=0.5; may be
    /// repeated.
    #[arg(long, value_name = "SCORE=NUMBER")]
    pub fail_under: Vec<String>,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  ptune predict checkpoints/runs/lama-p36 Britain Japan\n  \
    cat subjects.txt | ptune predict checkpoints/runs/lama-p36 --format json\n  \
    ptune predict --prompt lama-p36.safetensors Britain\n  \
    ptune predict checkpoints/runs/lama-p36 Britain --answers cities.txt\n  \
    ptune predict checkpoints/runs/lama-p36 Britain --generate --max-tokens 5 --beams 4"
)]
pub struct PredictArgs {
    /// Run folder and inputs, or inputs alone with --prompt. Without inputs they are read from
    /// stdin, one per line; a line that is a JSON object gives the fields of a template with
    /// several inputs. A prompt that finds entities takes texts, whose words are split at blanks.
    #[arg(value_name = "RUN|INPUT")]
    pub words: Vec<String>,
    /// Export to run from, instead of a run.
    #[arg(long, value_name = "FILE")]
    pub prompt: Option<PathBuf>,
    /// Backbone of the export, if it is not where it was: a name, hf:ORGANISATION/MODEL, a folder or a
    /// .gguf file.
    #[arg(long, requires = "prompt")]
    pub backbone: Option<String>,
    /// Answers for each input [default: the config's eval.top_k, or 10].
    #[arg(long, short = 'k', value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,
    #[command(flatten)]
    pub whole: AnswersArgs,
    /// How to print the answers.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Example: ptune inspect checkpoints/runs/lama-p36 --example Britain --top 5"
)]
pub struct InspectArgs {
    /// Run folder.
    pub run: PathBuf,
    /// Input to show the template with; the first example of dev by default. FIELD=TEXT for a
    /// template with several inputs; may be repeated.
    #[arg(long, value_name = "TEXT")]
    pub example: Vec<String>,
    /// Words for each vector.
    #[arg(long, short = 'k', default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// How to print it.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  ptune fetch smollm2-135m\n  \
    ptune fetch hf:google/electra-small-generator\n  \
    ptune fetch hf:HuggingFaceTB/SmolLM2-360M-Instruct-GGUF/smollm2-360m-instruct-q8_0.gguf@main\n\n\
    HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are heeded.")]
pub struct FetchArgs {
    /// Name of the backbone, or hf:ORGANISATION/MODEL, with /FILE.gguf for one file and @REVISION for
    /// another than main; without one, lists the names.
    pub name: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  ptune backbones\n  ptune backbones --format json")]
pub struct BackbonesArgs {
    /// How to print them.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}
