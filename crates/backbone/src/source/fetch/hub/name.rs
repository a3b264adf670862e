//! What a source that begins with `hf:` asks for.

use std::fmt;
use std::str::FromStr;

use super::HubError;

/// How a source of a hub begins.
pub const PREFIX: &str = "hf:";
/// The revision of a source that names none.
pub const DEFAULT_REVISION: &str = "main";
/// Longest name of a repository, and of a revision, that a hub accepts.
const LONGEST: usize = 96;

/// A model of a hub, as in `hf:org/model`, `hf:org/model@v1.0` or `hf:org/model/file.gguf`.
///
/// Every part is a plain name, so that none can lead out of the cache or of the hub's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubModel {
    /// Organisation and name: `org/model`.
    pub repository: String,
    /// The one GGUF file that is wanted, or `None` for a folder, or for the only GGUF there is.
    pub file: Option<String>,
    /// A branch, a tag, or a commit of 40 hexadecimal digits.
    pub revision: String,
}

impl HubModel {
    /// Whether a source is one of a hub.
    pub fn is_meant(source: &str) -> bool {
        source.starts_with(PREFIX)
    }

    /// The commit, where the revision is one.
    pub fn commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(self.revision.as_str())
    }
}

impl FromStr for HubModel {
    type Err = HubError;

    fn from_str(source: &str) -> Result<Self, HubError> {
        let wrong = |problem| HubError::Name { given: source.to_owned(), problem };
        let text =
            source.strip_prefix(PREFIX).ok_or_else(|| wrong("it does not begin with hf:"))?;
        let (path, revision) = match text.split_once('@') {
            Some((path, revision)) => (path, revision),
            None => (text, DEFAULT_REVISION),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let (organisation, name, file) = match parts[..] {
            [organisation, name] => (organisation, name, None),
            [organisation, name, file] => (organisation, name, Some(file)),
            [_] => return Err(wrong("the organisation in front of the model is missing")),
            _ => return Err(wrong("it has more parts than organisation, model and file")),
        };
        let repository = format!("{organisation}/{name}");
        let is_repository =
            |part: &str| is_plain(part) && !part.ends_with(['.', '-']) && !part.contains("--");
        if !is_repository(organisation) || !is_repository(name) || repository.len() > LONGEST {
            return Err(wrong(
                "organisation and model are letters, digits, single hyphens, dots and underscores",
            ));
        }
        if file.is_some_and(|file| !is_plain(file) || !is_gguf(file)) {
            return Err(wrong("the file is no plain name that ends in .gguf"));
        }
        let is_revision = revision.len() <= LONGEST && revision.split('/').all(is_plain);
        if !is_revision {
            return Err(wrong("the revision is no branch, tag or commit"));
        }
        Ok(Self { repository, file: file.map(str::to_owned), revision: revision.to_owned() })
    }
}

impl fmt::Display for HubModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.repository)?;
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        if self.revision != DEFAULT_REVISION {
            write!(f, "@{}", self.revision)?;
        }
        Ok(())
    }
}

/// A name that means the same in every folder and address: no separator, nothing hidden, no `..`.
pub(super) fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    !name.is_empty()
        && name.len() <= 255
        && name.chars().all(allowed)
        && !name.starts_with(['.', '-'])
        && !name.contains("..")
}

/// Whether a text is a commit: 40 lower-case hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a file is a GGUF by its name.
pub(super) fn is_gguf(name: &str) -> bool {
    name.len() > 5 && name.to_ascii_lowercase().ends_with(".gguf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_printed() {
        for source in [
            "hf:org/model",
            "hf:org/model@v1.0",
            "hf:org/model@refs/pr/5",
            "hf:Qwen/Qwen2.5-0.5B_x/file-Q4_0.gguf@0123456789012345678901234567890123456789",
        ] {
            assert_eq!(source.parse::<HubModel>().unwrap().to_string(), source);
        }
        let main: HubModel = "hf:org/model@main".parse().unwrap();
        assert_eq!((main.to_string().as_str(), main.commit()), ("hf:org/model", None));
    }

    #[test]
    fn malformed_sources_are_refused() {
        for source in [
            "hf:",
            "hf:foo",
            "hf:foo/",
            "hf:/foo",
            "hf:../..",
            "hf:a/..",
            "hf:a/b/c/d.gguf",
            "hf:a/b/model.bin",
            "hf:a/b/.gguf",
            "hf:a/b/..gguf",
            "hf:a/b@",
            "hf:a/b@../x",
            "hf:a/b@x//y",
            "hf:a/b@x y",
            "hf:a/b--c",
            "hf:a b/c",
            "hf:a/b?c",
            "hf:a/b%2e",
            "org/model",
        ] {
            let error = source.parse::<HubModel>().unwrap_err().to_string();
            assert!(error.contains(source) && error.contains("hint: "), "{source}: {error}");
        }
    }
}
