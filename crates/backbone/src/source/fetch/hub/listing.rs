//! What a revision of a repository holds, by the hub's listing.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use ureq::http::StatusCode;

use super::name::is_commit;
use super::request::{failed, refused};
use super::settings::repo;
use super::{Hub, HubError, HubModel};

/// Longest listing that is read.
const LONGEST: u64 = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// A revision's commit and files.
pub(super) struct Listing {
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// Names and, where the hub tells them, sizes.
    pub files: Vec<(String, Option<u64>)>,
}

impl Listing {
    /// Names of all files.
    pub fn names(&self) -> Vec<&str> {
        self.files.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Size of a file in bytes, where the hub tells it.
    pub fn bytes(&self, name: &str) -> Option<u64> {
        self.files.iter().find(|(known, _)| known == name).and_then(|(_, bytes)| *bytes)
    }
}

/// Asks a hub what a model's revision holds.
///
/// # Errors
/// No network, no such repository or revision, a refusal, an answer that is no listing.
pub(super) fn listing(model: &HubModel, hub: &Hub) -> Result<Listing, HubError> {
    let address = format!("{}/api/{}", hub.endpoint, repo(model).api_url());
    let mut response = hub
        .api()?
        .repo(repo(model))
        .info_request()
        .query("blobs", "true")
        .config()
        .http_status_as_error(false)
        .timeout_resolve(Some(PATIENCE))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .build()
        .call()
        .map_err(|error| failed(&address, error))?;
    if response.status() != StatusCode::OK {
        return Err(refused(model, hub, &address, None, response.status(), response.headers()));
    }
    let mut body = Vec::new();
    let read = response.body_mut().as_reader().take(LONGEST).read_to_end(&mut body);
    read.map_err(|source| HubError::NoNetwork {
        address: address.clone(),
        source: Box::new(ureq::Error::Io(source)),
    })?;
    let unexpected =
        |expected: &'static str, found: &str| HubError::answer(&address, expected, found);
    let listing: Value = serde_json::from_slice(&body).map_err(|_| {
        unexpected("a JSON listing of the repository", &String::from_utf8_lossy(&body))
    })?;
    let commit = listing.get("sha").and_then(Value::as_str).unwrap_or_default();
    if !is_commit(commit) {
        return Err(unexpected("a commit of 40 hexadecimal digits", commit));
    }
    if model.commit().is_some_and(|asked| asked != commit) {
        return Err(unexpected("the commit that was asked for", commit));
    }
    let files = listing.get("siblings").and_then(Value::as_array);
    let files = files.ok_or_else(|| unexpected("a list of files (siblings)", "none"))?;
    let file = |file: &Value| {
        let name = file.get("rfilename")?.as_str()?.to_owned();
        Some((name, file.get("size").and_then(Value::as_u64)))
    };
    Ok(Listing { commit: commit.to_owned(), files: files.iter().filter_map(file).collect() })
}
