//! Which hub, which cache and which token, by the environment variables of Hugging Face's tools.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};
use ureq::http::Uri;

use super::{HubError, HubModel};

const ENDPOINT: &str = "https://huggingface.co";

/// A hub and its cache on this machine.
#[derive(Clone)]
pub struct Hub {
    /// Folder of all repositories: `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else
    /// `$XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// Where the hub is: `$HF_ENDPOINT`, else Hugging Face's own; without a slash at its end.
    pub endpoint: String,
    /// What proves who asks: `$HF_TOKEN`, else the file `$HF_TOKEN_PATH`, else `$HF_HOME/token`.
    pub token: Option<String>,
    /// Whether `$HF_HUB_OFFLINE` forbids to ask the hub.
    pub offline: bool,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, endpoint, token, offline } = self;
        // A token has no place in a log.
        let token = token.as_ref().map(|_| "…");
        f.debug_struct("Hub")
            .field("cache", cache)
            .field("endpoint", endpoint)
            .field("token", &token)
            .field("offline", offline)
            .finish()
    }
}

impl Hub {
    /// The hub of this process's environment.
    ///
    /// # Errors
    /// No place for a cache, an endpoint that is no address, a token that no header can hold.
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), with the variables given.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().trim().to_owned());
        let user = set("HOME").or_else(|| set("USERPROFILE")).map(PathBuf::from);
        let folder = |name: &str| set(name).map(|path| expanded(path.into(), user.as_deref()));
        let home = folder("HF_HOME")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(user.as_ref()?.join(".cache").join("huggingface")));
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| Some(home.as_ref()?.join("hub")))
            .ok_or(HubError::NoCache)?;
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if !is_endpoint(&endpoint) {
            return Err(HubError::Endpoint { found: endpoint });
        }
        let token_file = folder("HF_TOKEN_PATH").or_else(|| Some(home?.join("token")));
        let token = match (text("HF_TOKEN").filter(|token| !token.is_empty()), token_file) {
            (Some(token), _) => Some(token),
            (None, Some(file)) => token_in(&file)?,
            (None, None) => None,
        };
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(HubError::Token);
        }
        let offline = text("HF_HUB_OFFLINE").unwrap_or_default().to_ascii_lowercase();
        let offline = ["1", "true", "yes", "on"].contains(&offline.as_str());
        Ok(Self { cache, endpoint, token, offline })
    }

    /// The folder of a model's repository.
    pub(super) fn repository(&self, model: &HubModel) -> PathBuf {
        self.cache.join(repo(model).folder_name())
    }

    /// The file that says which commit a branch or tag was when it was fetched.
    pub(super) fn reference(&self, model: &HubModel) -> PathBuf {
        self.repository(model).join("refs").join(&model.revision)
    }

    /// The folder of a model's files as of a commit.
    pub(super) fn snapshot(&self, model: &HubModel, commit: &str) -> PathBuf {
        Cache::new(self.cache.clone()).repo(repo(model)).pointer_path(commit)
    }

    /// The page of a model, for people.
    pub(super) fn page(&self, model: &HubModel) -> String {
        format!("{}/{}", self.endpoint, model.repository)
    }

    /// Hugging Face's client for this hub.
    pub(super) fn api(&self) -> Result<Api, HubError> {
        // Not from its own environment, of which it knows less.
        ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_progress(false)
            .build()
            .map_err(|source| HubError::Client { source: Box::new(source) })
    }
}

/// A model as hf-hub names it.
pub(super) fn repo(model: &HubModel) -> Repo {
    Repo::with_revision(model.repository.clone(), RepoType::Model, model.revision.clone())
}

fn expanded(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

fn is_endpoint(text: &str) -> bool {
    let Ok(address) = text.parse::<Uri>() else { return false };
    matches!(address.scheme_str(), Some("http" | "https"))
        && address.host().is_some_and(|host| !host.is_empty())
        && address.query().is_none()
}

fn token_in(file: &Path) -> Result<Option<String>, HubError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty())),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(source) => Err(HubError::Read { path: file.to_path_buf(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Result<Hub, HubError> {
        Hub::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn variables_are_those_of_the_python_tools() {
        let all = [
            ("HF_HUB_CACHE", "/a"),
            ("HF_HOME", "/b"),
            ("XDG_CACHE_HOME", "/c"),
            ("HOME", "/nowhere"),
        ];
        let cache = |variables: &[(&str, &str)]| hub(variables).unwrap().cache;
        assert_eq!(cache(&all), Path::new("/a"));
        assert_eq!(cache(&all[1..]), Path::new("/b/hub"));
        assert_eq!(cache(&all[2..]), Path::new("/c/huggingface/hub"));
        assert_eq!(cache(&all[3..]), Path::new("/nowhere/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "~/x"), ("HOME", "/d")]), Path::new("/d/x/hub"));
        assert!(matches!(hub(&[]), Err(HubError::NoCache)));

        let endpoint = |text| hub(&[("HOME", "/nowhere"), ("HF_ENDPOINT", text)]);
        assert_eq!(endpoint("").unwrap().endpoint, "https://huggingface.co");
        assert_eq!(endpoint("http://localhost:8080/").unwrap().endpoint, "http://localhost:8080");
        for wrong in ["huggingface.co", "ftp://a", "http://", "http://a b", "file:///etc"] {
            let error = endpoint(wrong).unwrap_err().to_string();
            assert!(error.contains("HF_ENDPOINT") && error.contains("hint: "), "{error}");
        }
        for (text, offline) in
            [("1", true), ("Yes", true), ("ON", true), ("true", true), ("0", false), ("", false)]
        {
            assert_eq!(hub(&[("HOME", "/x"), ("HF_HUB_OFFLINE", text)]).unwrap().offline, offline);
        }
    }

    #[test]
    fn a_token_comes_from_the_variable_or_from_its_file() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("token"), "from_file\n").unwrap();
        let home = home.path().to_str().unwrap();
        let token = |variables: &[(&str, &str)]| hub(variables).unwrap().token;
        assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("from_file"));
        let both = [("HF_HOME", home), ("HF_TOKEN", " given ")];
        assert_eq!(token(&both).as_deref(), Some("given"));
        assert_eq!(token(&[("HF_HOME", "/nowhere")]), None);
        let error = hub(&[("HF_HOME", home), ("HF_TOKEN", "two\nlines")]).unwrap_err();
        assert!(matches!(error, HubError::Token) && !error.to_string().contains("lines"));
        assert!(!format!("{:?}", hub(&both).unwrap()).contains("given"));
    }
}
