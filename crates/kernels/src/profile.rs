//! Where the time of a pass goes, when somebody asks.
//!
//! Off, it costs a load of a flag at each stage. On, member 0 of the team adds the time between two
//! barriers to the stage that ended with the second: waiting for the others is part of it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a stretch of time went into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Stage {
    /// Norms and residuals.
    Norms,
    /// Products with queries', keys' and values' weights.
    Projections,
    /// Rotation, scores, softmax and context.
    Attention,
    /// Products with attention's output weights.
    Outputs,
    /// Products into the feed-forward network, and its activation.
    Up,
    /// Products out of the feed-forward network.
    Down,
    /// Scores of the vocabulary, and their gradient.
    Head,
    /// Softmax and cross-entropy.
    Loss,
    /// The prompt encoder, forward and backward.
    Encoder,
    /// The optimiser.
    Optimizer,
}

impl Stage {
    /// Every stage, in the order of a step.
    pub const ALL: [Self; 10] = [
        Self::Encoder,
        Self::Norms,
        Self::Projections,
        Self::Attention,
        Self::Outputs,
        Self::Up,
        Self::Down,
        Self::Head,
        Self::Loss,
        Self::Optimizer,
    ];

    /// A few words for a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Norms => "norms, residuals",
            Self::Projections => "q, k, v products",
            Self::Attention => "attention",
            Self::Outputs => "output products",
            Self::Up => "gate and up products, activation",
            Self::Down => "down products",
            Self::Head => "head",
            Self::Loss => "loss",
            Self::Encoder => "prompt encoder",
            Self::Optimizer => "optimiser",
        }
    }
}

static ON: AtomicBool = AtomicBool::new(false);
static NANOSECONDS: [AtomicU64; Stage::ALL.len()] = [const { AtomicU64::new(0) }; Stage::ALL.len()];

/// Starts to measure, from nothing.
pub fn start() {
    NANOSECONDS.iter().for_each(|stage| stage.store(0, Ordering::Relaxed));
    ON.store(true, Ordering::Relaxed);
}

/// Stops, and gives the time of each stage since [`start`].
pub fn stop() -> Vec<(Stage, Duration)> {
    ON.store(false, Ordering::Relaxed);
    let time = |stage: Stage| NANOSECONDS[stage as usize].load(Ordering::Relaxed);
    Stage::ALL.map(|stage| (stage, Duration::from_nanos(time(stage)))).to_vec()
}

fn add(stage: Stage, since: Instant) {
    let nanoseconds = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
    NANOSECONDS[stage as usize].fetch_add(nanoseconds, Ordering::Relaxed);
}

/// Runs `f` as part of a stage.
pub fn timed<R>(stage: Stage, f: impl FnOnce() -> R) -> R {
    if !ON.load(Ordering::Relaxed) {
        return f();
    }
    let began = Instant::now();
    let result = f();
    add(stage, began);
    result
}

/// A member's clock: what it last looked at.
#[derive(Default)]
pub(crate) struct Laps(Cell<Option<Instant>>);

impl Laps {
    /// Ends a stage and begins the next.
    pub fn lap(&self, stage: Stage) {
        if ON.load(Ordering::Relaxed) {
            if let Some(since) = self.0.get() {
                add(stage, since);
            }
            self.0.set(Some(Instant::now()));
        }
    }

    /// Begins the first stage.
    pub fn begin(&self) {
        self.0.set(ON.load(Ordering::Relaxed).then(Instant::now));
    }
}
