//! Fetching a model from a Hugging Face hub into the cache that Hugging Face's tools share.
//!
//! The commit comes first: the hub is asked once what a revision holds, the files that ptune reads
//! are chosen from its listing, and each is fetched as of that commit. A file grows as
//! `blobs/<etag>.part`, is checked for its size and, where its name is one, for its SHA-256, and is
//! renamed; the weights come last, then the branch is noted. So a folder is whole or not taken for one,
//! and what broke off goes on where it stopped.
//!
//! hf-hub gives the addresses, the layout and the listing. Its downloads are not used: they cannot be
//! stopped, take the hub's word for names of files, and append a whole answer to a part.
//!
//! Nothing that the hub sends becomes a path unless it is a plain name, or is run.

mod choice;
mod error;
mod layout;
mod listing;
mod name;
mod part;
mod request;
mod settings;
mod transfer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

pub use error::HubError;
pub use layout::{Cached, Found, Lacks, cached, located};
pub use name::{HubModel, PREFIX};
pub use settings::Hub;

use super::FetchEvent;

/// How often the flag that cancels is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Fetches a model, or brings it up to date, and returns what to open.
///
/// Files that are in the cache are not fetched again. `cancel` is looked at many times a second, also
/// while a server keeps silent; what has come stays for the next time.
///
/// # Errors
/// See [`HubError`]; none leaves a model that is only partly there looking whole.
pub fn fetch(
    model: &HubModel,
    hub: &Hub,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<PathBuf, HubError> {
    if hub.offline {
        return match located(model, hub)? {
            Found::Present(path) => Ok(path),
            Found::Absent(lacks) => Err(HubError::Offline {
                model: model.to_string(),
                cache: hub.cache.clone(),
                lacks: lacks.to_string(),
            }),
        };
    }
    // A commit never changes.
    if let (Some(_), Found::Present(path)) = (model.commit(), located(model, hub)?) {
        return Ok(path);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (events, received) = mpsc::channel();
    let worker = {
        let (model, hub, stop) = (model.clone(), hub.clone(), Arc::clone(&stop));
        thread::spawn(move || {
            // The receiver leaves early only where nobody wants to know any more.
            transfer::fetch(&model, &hub, &stop, &|event| drop(events.send(event)))
        })
    };
    loop {
        match received.recv_timeout(POLL) {
            Ok(event) => progress(event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if cancel.load(Ordering::Relaxed) {
            // A worker that waits for a silent server sees this later, and then writes no more.
            stop.store(true, Ordering::Relaxed);
            return Err(HubError::Interrupted);
        }
    }
    match worker.join() {
        Ok(fetched) => fetched,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
