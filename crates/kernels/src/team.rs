//! A team of threads that goes through a whole pass together.
//!
//! A thread pool hands out one task at a time and lets threads sleep in between; a transformer pass
//! is hundreds of short stages that all threads enter and leave together. Here threads are fed once
//! per pass and meet at barriers between stages, where they spin for a moment before they yield.
//!
//! One pass runs at a time; a second caller waits. The caller works as member 0, so a machine with
//! one core needs no thread at all.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use crate::profile::{Laps, Stage};

/// Rounds of spinning before a waiting thread yields: a few microseconds.
const SPINS: usize = 4_000;

/// A member's view of a pass.
pub struct Member<'a> {
    index: usize,
    count: usize,
    barrier: &'a Barrier,
    laps: Laps,
}

impl Member<'_> {
    /// Which member, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Members of the team.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Waits until every member is here; what they wrote before is then visible to all.
    ///
    /// # Panics
    /// When another member panicked, so that nobody waits for it.
    pub fn wait(&self) {
        self.barrier.wait(self.count);
    }

    /// As [`wait`](Self::wait), at the end of a stage that a profile counts.
    pub fn end(&self, stage: Stage) {
        self.wait();
        if self.index == 0 {
            self.laps.lap(stage);
        }
    }

    /// This member's contiguous part of `0..total`; parts differ by one at most.
    pub fn share(&self, total: usize) -> Range<usize> {
        total * self.index / self.count..total * (self.index + 1) / self.count
    }
}

struct Barrier {
    arrived: AtomicUsize,
    generation: AtomicUsize,
    broken: AtomicBool,
}

impl Barrier {
    fn wait(&self, count: usize) {
        if count == 1 {
            return;
        }
        let generation = self.generation.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == count {
            self.arrived.store(0, Ordering::Relaxed);
            self.generation.store(generation.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.generation.load(Ordering::Acquire) == generation {
            assert!(!self.broken.load(Ordering::Relaxed), "another member of the team panicked");
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

type Work<'a> = &'a (dyn Fn(&Member<'_>) + Sync);

/// What the threads wait for.
struct Board {
    /// Counts passes; a thread runs when it moves.
    pass: usize,
    /// The work of the current pass, its lifetime erased: [`Team::run`] does not return before every
    /// thread is done with it.
    work: Option<Work<'static>>,
    /// Threads that have not finished the current pass.
    busy: usize,
}

/// A team of threads.
pub struct Team {
    count: usize,
    /// Held during a pass.
    turn: Mutex<()>,
    board: Mutex<Board>,
    start: Condvar,
    done: Condvar,
    barrier: Barrier,
}

impl Team {
    /// The team of this process: as many members as `RAYON_NUM_THREADS` says, or as there are cores.
    pub fn global() -> &'static Self {
        static TEAM: OnceLock<&'static Team> = OnceLock::new();
        TEAM.get_or_init(|| {
            let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse().ok());
            let cores = || std::thread::available_parallelism().map_or(1, usize::from);
            Self::leaked(asked.filter(|&n| n > 0).unwrap_or_else(cores))
        })
    }

    /// A team that lives as long as the process.
    fn leaked(count: usize) -> &'static Self {
        let team: &'static Self = Box::leak(Box::new(Self {
            count,
            turn: Mutex::new(()),
            board: Mutex::new(Board { pass: 0, work: None, busy: 0 }),
            start: Condvar::new(),
            done: Condvar::new(),
            barrier: Barrier {
                arrived: AtomicUsize::new(0),
                generation: AtomicUsize::new(0),
                broken: AtomicBool::new(false),
            },
        }));
        let mut started = 1;
        for index in 1..count {
            let builder = std::thread::Builder::new().name(format!("kernels-{index}"));
            // A system that grants fewer threads gets a smaller team.
            if builder.spawn(move || team.serve(index)).is_err() {
                break;
            }
            started += 1;
        }
        if started < count {
            return Self::leaked(1);
        }
        team
    }

    /// Members.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs `work` on every member and returns when all are done.
    ///
    /// # Panics
    /// When a member panics, after all have stopped.
    pub fn run(&self, work: impl Fn(&Member<'_>) + Sync) {
        // A pass that panicked leaves nothing behind that the next one reads.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let member = self.member(0);
        member.laps.begin();
        if self.count == 1 {
            return work(&member);
        }
        self.barrier.arrived.store(0, Ordering::Relaxed);
        self.barrier.broken.store(false, Ordering::Relaxed);
        let erased: Work<'_> = &work;
        // SAFETY: the reference is used by threads between here and the wait below, which this call
        // does not leave early: a panic of its own share is caught and raised again afterwards.
        let erased = unsafe { std::mem::transmute::<Work<'_>, Work<'static>>(erased) };
        {
            let mut board = self.lock();
            board.work = Some(erased);
            board.busy = self.count - 1;
            board.pass = board.pass.wrapping_add(1);
        }
        self.start.notify_all();
        let own = catch_unwind(AssertUnwindSafe(|| work(&member)));
        if own.is_err() {
            self.barrier.broken.store(true, Ordering::Relaxed);
        }
        let mut board = self.lock();
        while board.busy > 0 {
            board = self.done.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
        board.work = None;
        drop(board);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!self.barrier.broken.load(Ordering::Relaxed), "a member of the team panicked");
    }

    fn member(&self, index: usize) -> Member<'_> {
        Member { index, count: self.count, barrier: &self.barrier, laps: Laps::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&'static self, index: usize) {
        let member = self.member(index);
        let mut seen = 0;
        loop {
            let mut board = self.lock();
            while board.pass == seen {
                board = self.start.wait(board).unwrap_or_else(PoisonError::into_inner);
            }
            seen = board.pass;
            let work = board.work;
            drop(board);
            if let Some(work) = work
                && catch_unwind(AssertUnwindSafe(|| work(&member))).is_err()
            {
                self.barrier.broken.store(true, Ordering::Relaxed);
            }
            let mut board = self.lock();
            board.busy -= 1;
            if board.busy == 0 {
                self.done.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_meet_between_stages() {
        for count in [1, 2, 5] {
            let team = Team::leaked(count);
            for _ in 0..200 {
                let (first, second) = (AtomicUsize::new(0), AtomicUsize::new(0));
                team.run(|member| {
                    first.fetch_add(member.share(101).len(), Ordering::Relaxed);
                    member.wait();
                    second.fetch_add(first.load(Ordering::Relaxed), Ordering::Relaxed);
                });
                assert_eq!(second.into_inner(), 101 * count);
            }
        }
    }

    #[test]
    fn a_panic_ends_the_pass_and_not_the_team() {
        let team = Team::leaked(3);
        for culprit in 0..3 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                team.run(|member| {
                    assert!(member.index() != culprit, "as planned");
                    member.wait();
                });
            }));
            assert!(result.is_err());
            let count = AtomicUsize::new(0);
            team.run(|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 3);
        }
    }

    #[test]
    fn callers_take_turns() {
        let team = Team::leaked(2);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        team.run(|member| member.wait());
                    }
                });
            }
        });
    }
}
