//! A model on a hub of this machine, and a cache that it is fetched into.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use backbone::source::fetch::hub::{Found, Hub, HubError, HubModel, fetch, located};

use super::hub_server::{COMMIT, Hub as Server, Request, sha256};

pub const CONFIG: &[u8] = br#"{"model_type": "toy"}"#;

/// Weights of some blocks, no two alike.
pub fn weights() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

/// A hub's server with a cache beside it.
pub struct Stage {
    pub folder: tempfile::TempDir,
    pub server: Server,
}

impl Stage {
    pub fn new(files: &[(&str, &[u8])]) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: Server::new("org/toy", files) }
    }

    /// A folder with one file of weights.
    pub fn plain() -> Self {
        Self::new(&[
            ("README.md", b"---\nlicense: mit\n---\n"),
            ("config.json", CONFIG),
            ("model.onnx", b"never asked for"),
            ("model.safetensors", &weights()),
            ("modeling_toy.py", b"never asked for"),
            ("tokenizer.json", b"{}"),
        ])
    }

    pub fn hub(&self) -> Hub {
        Hub {
            cache: self.folder.path().to_path_buf(),
            endpoint: self.server.address.clone(),
            token: Some("hf_secret".to_owned()),
            offline: false,
        }
    }

    pub fn fetch(&self, source: &str) -> Result<PathBuf, HubError> {
        let model: HubModel = source.parse().unwrap();
        fetch(&model, &self.hub(), &AtomicBool::new(false), &mut |_| {})
    }

    pub fn refused(&self, source: &str) -> String {
        let error = self.fetch(source).unwrap_err().to_string();
        let text = error.as_str();
        assert!(!text.contains("hf_secret"), "{text}");
        text.to_owned()
    }

    pub fn repository(&self) -> PathBuf {
        self.folder.path().join("models--org--toy")
    }

    pub fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    pub fn blob(&self, bytes: &[u8]) -> PathBuf {
        self.repository().join("blobs").join(sha256(bytes))
    }

    pub fn part(&self, bytes: &[u8]) -> PathBuf {
        self.blob(bytes).with_extension("part")
    }

    /// Leaves a part of the weights as an earlier try would.
    pub fn leave_part(&self, bytes: &[u8]) {
        fs::create_dir_all(self.repository().join("blobs")).unwrap();
        fs::write(self.part(&weights()), bytes).unwrap();
    }

    /// What is not a model yet must not be taken for one.
    pub fn assert_absent(&self) {
        let model: HubModel = "hf:org/toy".parse().unwrap();
        assert!(matches!(located(&model, &self.hub()).unwrap(), Found::Absent(_)));
    }
}

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn is_weights(request: &Request) -> bool {
    request.path.ends_with("/model.safetensors") && request.method == "GET" && request.at_store
}
