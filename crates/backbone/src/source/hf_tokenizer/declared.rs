//! What small files beside a vocabulary say of special tokens: tokenizer_config.json,
//! special_tokens_map.json and added_tokens.json.
//!
//! As in transformers, `added_tokens_decoder` of tokenizer_config.json replaces the other two files;
//! without it, special_tokens_map.json goes before tokenizer_config.json.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::super::SourceError;
use super::super::hf_dir::{object, read};

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";

/// What the small files say.
pub struct Declared {
    path: PathBuf,
    config: Map<String, Value>,
    /// Special tokens by role; `None` where a file says that there is none.
    roles: HashMap<String, Option<AddedToken>>,
    /// Tokens that are matched whole, by id.
    pub added: BTreeMap<u32, AddedToken>,
}

impl Declared {
    /// Reads what there is of the three files.
    ///
    /// # Errors
    /// A file that is no JSON, or a key of another type than it should have.
    pub fn read(folder: &Path) -> Result<Self, SourceError> {
        let path = folder.join(TOKENIZER_CONFIG);
        let config = optional(folder, TOKENIZER_CONFIG)?;
        let mut roles = roles(&config);
        let mut added = BTreeMap::new();
        match config.get("added_tokens_decoder").filter(|value| !value.is_null()) {
            Some(tokens) => {
                let pairs = tokens.as_object().and_then(|tokens| {
                    let pair = |(id, token): (&String, &Value)| {
                        Some((id.parse().ok()?, described(token)?))
                    };
                    tokens.iter().map(pair).collect::<Option<Vec<(u32, AddedToken)>>>()
                });
                added.extend(pairs.ok_or_else(|| SourceError::JsonKey {
                    path: path.clone(),
                    key: "added_tokens_decoder",
                    expected: "an object such as {\"0\": {\"content\": \"<s>\", \"special\": true}}",
                })?);
            }
            None => {
                roles.extend(self::roles(&optional(folder, SPECIAL_TOKENS_MAP)?));
                for (token, id) in optional(folder, ADDED_TOKENS)? {
                    let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
                    let id = id.ok_or_else(|| SourceError::JsonKey {
                        path: folder.join(ADDED_TOKENS),
                        key: "a token",
                        expected: "an id such as 30522",
                    })?;
                    let special = roles.values().flatten().any(|role| role.content == token);
                    added.insert(id, AddedToken::from(token, special));
                }
            }
        }
        for role in roles.values_mut().flatten() {
            // One token, one description.
            if let Some(token) = added.values().find(|token| token.content == role.content) {
                role.clone_from(token);
            }
            role.special = true;
        }
        Ok(Self { path, config, roles, added })
    }

    /// The token of a role: what a file says, or what it is usually called.
    pub fn role(&self, role: &str, usual: Option<&str>) -> Option<AddedToken> {
        match self.roles.get(role) {
            Some(token) => token.clone(),
            None => usual.map(|usual| AddedToken::from(usual, true)),
        }
    }

    /// Texts of special tokens by role.
    pub fn names(&self) -> HashMap<String, String> {
        let named = self.roles.iter();
        named
            .filter_map(|(role, token)| Some((role.clone(), token.as_ref()?.content.clone())))
            .collect()
    }

    /// A switch of tokenizer_config.json, if it is there and not null.
    ///
    /// # Errors
    /// A value that is neither true nor false.
    pub fn flag(&self, key: &'static str) -> Result<Option<bool>, SourceError> {
        self.get(key, "true, false or null", Value::as_bool)
    }

    /// A small number of tokenizer_config.json, if it is there and not null.
    ///
    /// # Errors
    /// A value that is none.
    pub fn count(&self, key: &'static str) -> Result<Option<usize>, SourceError> {
        self.get(key, "a whole number of at most 10000", |value| {
            value.as_u64().filter(|n| *n <= 10_000).map(|n| n as usize)
        })
    }

    /// The name of transformers' class, if tokenizer_config.json says it.
    ///
    /// # Errors
    /// A value that is no string.
    pub fn class(&self) -> Result<Option<String>, SourceError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.get("tokenizer_class", "a string such as \"LlamaTokenizer\"", text)
    }

    fn get<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, SourceError> {
        let Some(value) = self.config.get(key).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let unexpected = || SourceError::JsonKey { path: self.path.clone(), key, expected };
        read(value).map(Some).ok_or_else(unexpected)
    }
}

/// The keys of a file, if there is one.
fn optional(folder: &Path, file: &'static str) -> Result<Map<String, Value>, SourceError> {
    let path = folder.join(file);
    if path.is_file() { object(&path, &read(folder, file)?) } else { Ok(Map::new()) }
}

/// Special tokens by role (`mask_token`): each a string, an object with its `content`, or null.
fn roles(config: &Map<String, Value>) -> HashMap<String, Option<AddedToken>> {
    let roles = config.iter().filter(|(role, _)| role.ends_with("_token"));
    let tokens = roles.filter_map(|(role, value)| match value {
        Value::Null => Some((role.clone(), None)),
        Value::String(text) => Some((role.clone(), Some(AddedToken::from(text.as_str(), true)))),
        // Flags such as `add_bos_token` end in the same way.
        value => Some((role.clone(), Some(described(value)?))),
    });
    tokens.collect()
}

/// A token from an object with its text and how it is matched.
fn described(token: &Value) -> Option<AddedToken> {
    let content = token.get("content")?.as_str()?;
    let flag = |key: &str| token.get(key).and_then(Value::as_bool).unwrap_or(false);
    let special = flag("special");
    let normalized = token.get("normalized").and_then(Value::as_bool).unwrap_or(!special);
    Some(
        AddedToken::from(content, special)
            .normalized(normalized)
            .lstrip(flag("lstrip"))
            .rstrip(flag("rstrip"))
            .single_word(flag("single_word")),
    )
}
