//! A hub on this machine: it speaks as Hugging Face's does, and lies where a test has it lie.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

/// The commit that every revision is at first.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What came in.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Whether it came to the store of large files.
    pub at_store: bool,
}

/// What goes out.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Close the connection after so many bytes of the body.
    pub cut: Option<usize>,
    /// Then keep silent for so long before the end.
    pub silence: Duration,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (headers, silence) = (Vec::new(), Duration::ZERO);
        Self { status, headers, body: body.into(), cut: None, silence }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }
}

type Tweak = Box<dyn FnMut(&Request, Reply) -> Reply + Send>;

/// A hub with one repository, and a store elsewhere that its large files are kept in.
pub struct Hub {
    pub address: String,
    shared: Arc<Shared>,
}

struct Shared {
    repository: String,
    files: BTreeMap<String, Vec<u8>>,
    store: String,
    commit: Mutex<String>,
    log: Mutex<Vec<Request>>,
    tweak: Mutex<Option<Tweak>>,
}

impl Hub {
    pub fn new(repository: &str, files: &[(&str, &[u8])]) -> Self {
        let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, store] = listeners
            .each_ref()
            .map(|listener| format!("http://{}", listener.local_addr().unwrap()));
        let files =
            files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let shared = Arc::new(Shared {
            repository: repository.to_owned(),
            files,
            store,
            commit: Mutex::new(COMMIT.to_owned()),
            log: Mutex::default(),
            tweak: Mutex::default(),
        });
        for (listener, at_store) in listeners.into_iter().zip([false, true]) {
            let shared = Arc::clone(&shared);
            // They end with the process of the test.
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || shared.serve(stream, at_store));
                }
            });
        }
        Self { address, shared }
    }

    /// A hub with the files of a folder.
    pub fn of_folder(repository: &str, folder: &Path, names: &[&str]) -> Self {
        let files: Vec<(&str, Vec<u8>)> =
            names.iter().map(|name| (*name, std::fs::read(folder.join(name)).unwrap())).collect();
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        Self::new(repository, &files)
    }

    /// Has every later answer changed.
    pub fn tweak(&self, tweak: impl FnMut(&Request, Reply) -> Reply + Send + 'static) {
        *self.shared.tweak.lock().unwrap() = Some(Box::new(tweak));
    }

    /// Has later answers left as they are.
    pub fn behave(&self) {
        *self.shared.tweak.lock().unwrap() = None;
    }

    /// Has every revision be another commit.
    pub fn move_on(&self, commit: &str) {
        *self.shared.commit.lock().unwrap() = commit.to_owned();
    }

    /// What came in since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.shared.log.lock().unwrap())
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream, at_store: bool) {
        let Some(request) = read_request(&stream, at_store) else { return };
        self.log.lock().unwrap().push(request.clone());
        let mut reply = self.reply(&request);
        if let Some(tweak) = self.tweak.lock().unwrap().as_mut() {
            reply = tweak(&request, reply);
        }
        write_reply(stream, &request, &reply);
    }

    fn reply(&self, request: &Request) -> Reply {
        let path = request.path.split('?').next().unwrap();
        let repository = &self.repository;
        let at = self.commit.lock().unwrap().clone();
        if let Some(file) = path.strip_prefix("/store/").filter(|_| request.at_store) {
            return match self.files.get(file) {
                Some(bytes) => ranged(request, bytes).with("ETag", "\"the-store's-own\""),
                None => Reply::new(404, ""),
            };
        }
        if path.starts_with(&format!("/api/models/{repository}/revision/")) {
            let files: Vec<_> = self
                .files
                .iter()
                .map(|(name, bytes)| json!({ "rfilename": name, "size": bytes.len() }))
                .collect();
            return Reply::new(200, json!({ "sha": at, "siblings": files }).to_string());
        }
        let resolved = path.strip_prefix(&format!("/{repository}/resolve/{at}/"));
        let cached = path.strip_prefix(&format!("/api/resolve-cache/{repository}/{at}/"));
        let Some(file) = resolved.or(cached) else {
            return Reply::new(404, "").with("X-Error-Code", "RepoNotFound");
        };
        let Some(bytes) = self.files.get(file) else {
            return Reply::new(404, "").with("X-Error-Code", "EntryNotFound");
        };
        let commit = |reply: Reply| reply.with("X-Repo-Commit", at.clone());
        if is_large(file) {
            let reply =
                Reply::new(302, "").with("Location", format!("{}/store/{file}", self.store));
            return commit(reply)
                .with("X-Linked-Etag", format!("\"{}\"", sha256(bytes)))
                .with("X-Linked-Size", bytes.len().to_string());
        }
        if resolved.is_some() {
            // As Hugging Face's: small files lie on the hub itself, at another path.
            let location = format!("/api/resolve-cache/{repository}/{at}/{file}");
            return commit(Reply::new(307, "").with("Location", location));
        }
        commit(ranged(request, bytes)).with("ETag", format!("W/\"{}\"", &sha256(bytes)[..40]))
    }
}

/// Whether the store keeps a file.
pub fn is_large(file: &str) -> bool {
    [".safetensors", ".bin", ".gguf"].iter().any(|end| file.ends_with(end))
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that a request's `Range` asks for.
fn ranged(request: &Request, bytes: &[u8]) -> Reply {
    let first = request
        .headers
        .get("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match first {
        None => Reply::new(200, bytes),
        Some(first) if first >= bytes.len() => Reply::new(416, ""),
        Some(first) => Reply::new(206, &bytes[first..])
            .with("Content-Range", format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len())),
    }
}

fn read_request(stream: &TcpStream, at_store: bool) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    Some(Request { method, path, headers, at_store })
}

/// A client that has left is no failure of the hub.
fn write_reply(mut stream: TcpStream, request: &Request, reply: &Reply) {
    let mut head = format!("HTTP/1.1 {} -\r\nConnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| *name == "Content-Length") {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let _ = stream.write_all(head.as_bytes());
    if request.method != "HEAD" {
        let end = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
        let _ = stream.write_all(&reply.body[..end]);
    }
    let _ = stream.flush();
    thread::sleep(reply.silence);
}
