//! A revision's files into the cache: each as a part that grows, is checked, and is renamed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hf_hub::Cache;
use ureq::http::{HeaderMap, StatusCode};

use super::choice::{Weights, choose, is_shard};
use super::layout::in_snapshot;
use super::listing::{Listing, listing};
use super::part::{CHUNK, Part};
use super::request::{Ask, Requests, header, refused};
use super::settings::repo;
use super::{Found, Hub, HubError, HubModel, POLL};
use crate::source::fetch::FetchEvent;
use crate::source::hf_dir;

/// Fetches a model and returns what to open.
pub(super) fn fetch(
    model: &HubModel,
    hub: &Hub,
    stop: &AtomicBool,
    progress: &dyn Fn(FetchEvent),
) -> Result<PathBuf, HubError> {
    let listing = listing(model, hub)?;
    let folder = hub.snapshot(model, &listing.commit);
    let transfer =
        Transfer { model, hub, listing: &listing, requests: Requests::new(hub), stop, progress };
    let path = match in_snapshot(model, &folder) {
        Found::Present(path) => path,
        Found::Absent(_) => {
            transfer.files(&folder)?;
            match in_snapshot(model, &folder) {
                Found::Present(path) => path,
                Found::Absent(lacks) => {
                    let found = lacks.to_string();
                    return Err(HubError::answer(&hub.page(model), "a whole model", &found));
                }
            }
        }
    };
    if model.commit().is_none() {
        let reference = hub.reference(model);
        Cache::new(hub.cache.clone())
            .repo(repo(model))
            .create_ref(&listing.commit)
            .map_err(|error| HubError::write(&reference, error))?;
    }
    progress(FetchEvent::Done { path: path.clone() });
    Ok(path)
}

/// What the transfer of one model's files shares.
struct Transfer<'a> {
    model: &'a HubModel,
    hub: &'a Hub,
    listing: &'a Listing,
    requests: Requests<'a>,
    stop: &'a AtomicBool,
    progress: &'a dyn Fn(FetchEvent),
}

/// What the hub says about a file.
struct Described {
    /// Its name in the cache: letters and digits.
    etag: String,
    bytes: u64,
}

impl Described {
    /// Its SHA-256, for the files that the hub names so.
    fn sha256(&self) -> Option<String> {
        let is_sha256 =
            self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sha256.then(|| self.etag.to_ascii_lowercase())
    }
}

impl Transfer<'_> {
    /// Fetches all files into the folder of a commit, the weights last.
    fn files(&self, folder: &Path) -> Result<(), HubError> {
        let choice = choose(self.model, &self.listing.names())?;
        (self.progress)(FetchEvent::Repository {
            model: self.model.to_string(),
            address: self.hub.page(self.model),
            commit: self.listing.commit.clone(),
        });
        for file in &choice.beside {
            self.file(file, folder)?;
        }
        match &choice.weights {
            Weights::File(file) => self.file(file, folder),
            Weights::Index(index) => {
                self.file(index, folder)?;
                self.shards(index, folder)?.iter().try_for_each(|shard| self.file(shard, folder))
            }
        }
    }

    /// The files that an index names.
    fn shards(&self, index: &'static str, folder: &Path) -> Result<Vec<String>, HubError> {
        let names = hf_dir::shard_names(folder, index).map_err(|source| HubError::Index {
            model: self.model.to_string(),
            source: Box::new(source),
        })?;
        let missing = names
            .iter()
            .find(|name| !is_shard(name) || !self.listing.names().contains(&name.as_str()));
        match missing {
            None => Ok(names),
            Some(shard) => Err(HubError::MissingShard {
                model: self.model.to_string(),
                index,
                shard: shard.chars().take(80).collect(),
            }),
        }
    }

    /// Fetches one file, unless it is there, and links it into the folder of the commit.
    fn file(&self, file: &str, folder: &Path) -> Result<(), HubError> {
        self.check()?;
        let described = self.described(file)?;
        let blobs = self.hub.repository(self.model).join("blobs");
        let blob = blobs.join(&described.etag);
        fs::create_dir_all(&blobs).map_err(|error| HubError::write(&blobs, error))?;
        let _lock = self.lock(file, &described.etag)?;
        if !is_whole(&blob, described.bytes) {
            self.blob(file, &described, &blob)?;
        }
        fs::create_dir_all(folder).map_err(|error| HubError::write(folder, error))?;
        let link = folder.join(file);
        linked(&blob, &link).map_err(|error| HubError::write(&link, error))
    }

    /// Where a file is, as of the commit.
    fn address(&self, file: &str) -> String {
        let (endpoint, repository) = (&self.hub.endpoint, &self.model.repository);
        format!("{endpoint}/{repository}/resolve/{}/{file}", self.listing.commit)
    }

    /// Asks what a file is.
    fn described(&self, file: &str) -> Result<Described, HubError> {
        let address = self.address(file);
        let response = self.requests.send(&address, Ask::Headers)?;
        let (status, headers) = (response.status(), response.headers());
        if !(status.is_success() || status.is_redirection()) {
            return Err(refused(self.model, self.hub, &address, Some(file), status, headers));
        }
        let answer = |expected, found| Err(HubError::answer(&address, expected, found));
        let commit = header(headers, "x-repo-commit").unwrap_or("none");
        if commit != self.listing.commit {
            return answer("the commit that was asked for in X-Repo-Commit", commit);
        }
        let etag = header(headers, "x-linked-etag").or_else(|| header(headers, "etag"));
        let etag = etag.unwrap_or_default();
        let plain = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        let is_plain = (8..=128).contains(&plain.len())
            && plain.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_plain {
            return answer("letters and digits in X-Linked-Etag or ETag", etag);
        }
        let size = header(headers, "x-linked-size")
            .or_else(|| header(headers, "content-length").filter(|_| status.is_success()));
        let Some(bytes) = size.and_then(|size| size.parse::<u64>().ok()) else {
            return answer("a size in X-Linked-Size or Content-Length", size.unwrap_or("none"));
        };
        match self.listing.bytes(file) {
            Some(expected) if expected != bytes => {
                Err(HubError::WrongSize { file: file.to_owned(), expected, found: bytes })
            }
            _ => Ok(Described { etag: plain.to_owned(), bytes }),
        }
    }

    /// Fetches a file's content, going on with the part that an earlier try has left.
    fn blob(&self, file: &str, described: &Described, blob: &Path) -> Result<(), HubError> {
        // The name holds no dot, so that no two parts are one.
        let path = blob.with_extension("part");
        for _ in 0..2 {
            if let Some(part) = self.filled(file, described, Part::open(&path)?)? {
                return part.finish(blob);
            }
        }
        Err(HubError::answer(&self.address(file), "the file", "a refusal of every range of it"))
    }

    /// Fills a part and checks it. `None`: what was there did not fit, and is gone.
    fn filled(
        &self,
        file: &str,
        described: &Described,
        mut part: Part,
    ) -> Result<Option<Part>, HubError> {
        let (total, sha256) = (described.bytes, described.sha256());
        // Nothing tells whether a whole part is the right one where there is no hash of it.
        if part.bytes() > total || (part.bytes() == total && sha256.is_none()) {
            part.clear()?;
        }
        if sha256.is_some() {
            part.rehash(|bytes| {
                (self.progress)(FetchEvent::Verifying { bytes, total });
                self.check()
            })?;
        }
        let found_whole = part.bytes() == total;
        if !found_whole && !self.received(file, total, &mut part)? {
            part.remove()?;
            return Ok(None);
        }
        match sha256 {
            Some(expected) if part.sha256() != expected => {
                let (found, resumed) = (part.sha256(), part.is_resumed());
                part.remove()?;
                // Nothing has been fetched yet.
                if found_whole && resumed {
                    return Ok(None);
                }
                Err(HubError::WrongHash { file: file.to_owned(), expected, found, resumed })
            }
            _ => Ok(Some(part)),
        }
    }

    /// Fetches the rest of a part, or says that the hub does not go on from there.
    fn received(&self, file: &str, total: u64, part: &mut Part) -> Result<bool, HubError> {
        let address = self.address(file);
        let mut response = self.requests.send(&address, Ask::From(part.bytes()))?;
        let (status, headers) = (response.status(), response.headers());
        match status {
            StatusCode::PARTIAL_CONTENT if part.is_resumed() => {
                check_range(&address, headers, part.bytes(), total)?;
            }
            // A server that knows no ranges sends all of it again.
            StatusCode::OK => part.clear()?,
            StatusCode::RANGE_NOT_SATISFIABLE if part.is_resumed() => return Ok(false),
            _ => {
                let file = Some(file);
                return Err(refused(self.model, self.hub, &address, file, status, headers));
            }
        }
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = body.read(&mut buffer);
            self.check()?;
            let bytes = part.bytes();
            let cut = |source| HubError::Cut { file: file.to_owned(), bytes, total, source };
            let read = match read {
                Ok(0) if bytes == total => return Ok(true),
                Ok(0) => return Err(cut(None)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cut(Some(error))),
            };
            let found = bytes + read as u64;
            if found > total {
                part.clear()?;
                let file = file.to_owned();
                return Err(HubError::WrongSize { file, expected: total, found });
            }
            part.append(&buffer[..read])?;
            (self.progress)(FetchEvent::File { name: file.to_owned(), bytes: found, total });
        }
    }

    /// Waits until no other process fetches a file. The lock is `huggingface_hub`'s own.
    fn lock(&self, file: &str, etag: &str) -> Result<File, HubError> {
        let folder = repo(self.model).folder_name();
        let folder = self.hub.cache.join(".locks").join(folder);
        fs::create_dir_all(&folder).map_err(|error| HubError::write(&folder, error))?;
        let path = folder.join(format!("{etag}.lock"));
        let lock = File::create(&path).map_err(|error| HubError::write(&path, error))?;
        let mut told = false;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) => return Err(HubError::write(&path, error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if !std::mem::replace(&mut told, true) {
                (self.progress)(FetchEvent::Waiting { name: file.to_owned() });
            }
            self.check()?;
            thread::sleep(POLL);
        }
    }

    fn check(&self) -> Result<(), HubError> {
        if self.stop.load(Ordering::Relaxed) { Err(HubError::Interrupted) } else { Ok(()) }
    }
}

/// Whether an answer goes on where a part ends.
fn check_range(address: &str, headers: &HeaderMap, bytes: u64, total: u64) -> Result<(), HubError> {
    let range = header(headers, "content-range").unwrap_or("none");
    if range == format!("bytes {bytes}-{}/{total}", total - 1) {
        return Ok(());
    }
    Err(HubError::answer(
        address,
        "a Content-Range from where the part ends to the file's end",
        range,
    ))
}

/// Whether a file has the size it should have. It got there by a rename after its check.
fn is_whole(path: &Path, bytes: u64) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.len() == bytes)
}

/// Makes `link` stand for a blob, in one step where links can be made.
#[cfg(unix)]
fn linked(blob: &Path, link: &Path) -> io::Result<()> {
    let target = Path::new("../../blobs").join(blob.file_name().unwrap_or_default());
    if fs::read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    // Whoever has the file's lock is alone with this name.
    let name = link.file_name().unwrap_or_default().to_string_lossy();
    let temporary = link.with_file_name(format!(".{name}.link"));
    drop(fs::remove_file(&temporary));
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, link)
}

/// Makes `link` stand for a blob; links to names need rights that not everybody has there.
#[cfg(not(unix))]
fn linked(blob: &Path, link: &Path) -> io::Result<()> {
    if link.exists() {
        fs::remove_file(link)?;
    }
    fs::hard_link(blob, link).or_else(|_| fs::copy(blob, link).map(drop))
}
