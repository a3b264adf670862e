//! Ctrl-C: asks once, politely; the second time leaves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use trainer::Interrupter;

use crate::console::say;

/// What Ctrl-C (and SIGTERM) sets: both at once, for whoever is at work.
#[derive(Clone)]
pub struct Interrupt {
    /// Looked at between two optimiser steps.
    pub training: Interrupter,
    /// Looked at while a backbone is fetched.
    pub fetching: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over Ctrl-C.
    pub fn install() -> Self {
        let interrupt =
            Self { training: Interrupter::new(), fetching: Arc::new(AtomicBool::new(false)) };
        let handler = interrupt.clone();
        // Without a handler Ctrl-C ends the process at once, which loses at most the epoch under
        // way: worth a warning, not an error.
        let set = ctrlc::set_handler(move || {
            if handler.fetching.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            say!("\nstopping as soon as everything is saved (Ctrl-C again to leave at once)");
            handler.training.stop(Some("Ctrl-C"));
        });
        if let Err(error) = set {
            say!("warning: Ctrl-C will not save: {error}");
        }
        interrupt
    }
}
