//! Workers of a suite: processes of their own, which tell what they do in JSON lines and stop when their stdin
//! ends.
//!
//! Which cell is whose is settled by locks in the suite's folder, so that workers on other machines are no
//! different from these.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessesToUpdate, System};
use trainer::Interrupter;
use trainer::suite::{SuiteDir, WorkEnd};

use crate::interrupt::Interrupt;

/// What a worker tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Told {
    /// A cell is run.
    Begun {
        /// Its name.
        cell: String,
    },
    /// A cell is done.
    Done {
        /// Its name.
        cell: String,
        /// Its scores, in words.
        scores: String,
    },
    /// A cell cannot be run.
    Failed {
        /// Its name.
        cell: String,
        /// Why.
        why: String,
    },
    /// The worker itself is gone.
    Lost {
        /// The cell that it was at work on.
        cell: Option<String>,
        /// How it ended.
        how: String,
    },
}

/// Tells an event, on the way from a worker to whoever runs it.
pub fn say(told: &Told) {
    let mut out = std::io::stdout().lock();
    // Whoever is gone need not be told; the end of stdin says so as well.
    let _ = serde_json::to_writer(&mut out, told).map_err(std::io::Error::from);
    let _ = out.write_all(b"\n").and_then(|()| out.flush());
}

/// Stops the worker, with everything saved, when whoever runs it is gone.
pub fn heed_stdin(interrupt: &Interrupt) {
    let interrupt = interrupt.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        interrupt.training.stop(Some("the suite has ended"));
    });
}

/// How many workers there may be, and whether memory decides.
pub struct Crew {
    most: usize,
    by_memory: bool,
}

/// Another worker is begun after this time at the earliest, when the last one has shown what it needs.
const BETWEEN: Duration = Duration::from_secs(20);

/// Share of the memory that a worker needs which must be free for another one.
const ROOM: f64 = 1.25;

impl Crew {
    /// As many as asked for, or one for every two cores as far as memory allows.
    pub fn of(jobs: Option<u32>, cells: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let most = jobs.map_or(cores / 2, |jobs| jobs as usize);
        Self { most: most.min(cells).max(1), by_memory: jobs.is_none() }
    }

    /// Whether one is enough, which needs no process of its own.
    pub fn is_alone(&self) -> bool {
        self.most == 1
    }

    /// Runs workers until there is nothing left to do.
    ///
    /// A worker that dies leaves its cell as one that could not be run, so that what has killed one worker does
    /// not kill the next; another worker takes its place.
    pub fn work(
        &self,
        dir: &SuiteDir,
        interrupter: &Interrupter,
        tell: impl Fn(&Told),
    ) -> anyhow::Result<WorkEnd> {
        let (sender, told) = mpsc::channel();
        let mut workers: Vec<Worker> = Vec::new();
        let mut begun = 0;
        let mut last = None;
        let mut interrupted = false;
        loop {
            let wanted = !interrupted && workers.len() < self.most && begun < 2 * self.most;
            let soon = !self.by_memory || last.is_none_or(|last: Instant| last.elapsed() > BETWEEN);
            if wanted && soon && (!self.by_memory || has_room(&workers)) {
                workers.push(Worker::begin(begun, self.most, &sender)?);
                begun += 1;
                last = Some(Instant::now());
            }
            match told.recv_timeout(Duration::from_millis(200)) {
                Ok(Some((number, event))) => {
                    if let Some(worker) = workers.iter_mut().find(|worker| worker.number == number)
                    {
                        worker.cell = match &event {
                            Told::Begun { cell } => Some(cell.clone()),
                            _ => None,
                        };
                    }
                    tell(&event);
                    continue;
                }
                Ok(None) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if interrupter.should_stop() && !interrupted {
                interrupted = true;
                workers.iter_mut().for_each(|worker| worker.stdin = None);
            }
            let mut running = Vec::new();
            let mut done = false;
            for mut worker in std::mem::take(&mut workers) {
                match worker.process.try_wait().context("waiting for a worker")? {
                    None => running.push(worker),
                    Some(status) if status.success() => done = true,
                    Some(status) if status.code() == Some(130) => {}
                    Some(status) => {
                        let (cell, how) = (worker.cell, ending(status));
                        if let Some(cell) = &cell {
                            dir.note_failure(cell, &format!("its worker ended: {how}"))?;
                        }
                        tell(&Told::Lost { cell, how });
                    }
                }
            }
            workers = running;
            // One that found nothing to do speaks for those that were not begun.
            begun = if done { 2 * self.most } else { begun };
            if workers.is_empty() && (interrupted || begun >= 2 * self.most) {
                return Ok(if interrupted { WorkEnd::Interrupted } else { WorkEnd::Done });
            }
        }
    }
}

fn ending(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        match status.signal() {
            Some(9) => {
                return "killed by signal 9, as a system that is out of memory does".to_owned();
            }
            Some(signal) => return format!("killed by signal {signal}"),
            None => {}
        }
    }
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => "no exit code".to_owned(),
    }
}

/// Whether there is memory for one more worker like those that run.
fn has_room(workers: &[Worker]) -> bool {
    if workers.is_empty() {
        return true;
    }
    let mut system = System::new();
    system.refresh_memory();
    let pids: Vec<Pid> = workers.iter().map(|worker| Pid::from_u32(worker.process.id())).collect();
    system.refresh_processes(ProcessesToUpdate::Some(&pids), false);
    let most = pids.iter().filter_map(|&pid| Some(system.process(pid)?.memory())).max();
    most.is_some_and(|most| ROOM * most as f64 <= system.available_memory() as f64)
}

struct Worker {
    number: usize,
    process: Child,
    /// Open as long as it is to work.
    stdin: Option<ChildStdin>,
    cell: Option<String>,
}

impl Worker {
    /// Begins the command that this process was begun with, as one of `crew` workers.
    fn begin(
        number: usize,
        crew: usize,
        events: &Sender<Option<(usize, Told)>>,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1)).arg("--worker");
        if std::env::var_os("RAYON_NUM_THREADS").is_none() {
            command.env("RAYON_NUM_THREADS", (cores / crew).max(1).to_string());
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a worker")?;
        let stdin = process.stdin.take();
        if let Some(stdout) = process.stdout.take() {
            let events = events.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if let Ok(told) = serde_json::from_str(&line) {
                        // The receiver lives as long as this process.
                        let _ = events.send(Some((number, told)));
                    }
                }
                let _ = events.send(None);
            });
        }
        Ok(Self { number, process, stdin, cell: None })
    }
}
