//! Which files of a repository are fetched: what ptune reads, and never anything else.

use super::HubError;
use super::error::listed;
use super::name::{HubModel, is_gguf, is_plain};
use crate::source::error::nearest;
use crate::source::hf_dir::{
    CONFIG, INDEX as SAFETENSORS_INDEX, PYTORCH, PYTORCH_INDEX, WEIGHTS as SAFETENSORS,
};

/// What stands beside weights, by its whole name.
const BESIDE: [&str; 7] = [
    CONFIG,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
];
/// Pairs of bytes that a vocab.json goes with.
const MERGES: &str = "merges.txt";

/// The files to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Configuration, tokenizer, licence and description.
    pub beside: Vec<String>,
    /// The weights, which come last.
    pub weights: Weights,
}

/// Where the weights are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// In one file.
    File(String),
    /// In the files that this index names.
    Index(&'static str),
}

/// Chooses among the names of a repository's files.
///
/// # Errors
/// No weights that can be read, weights without what they need, several GGUF files.
pub(super) fn choose(model: &HubModel, names: &[&str]) -> Result<Choice, HubError> {
    let is_there = |name: &str| names.contains(&name);
    let gguf: Vec<&str> =
        names.iter().copied().filter(|name| is_plain(name) && is_gguf(name)).collect();
    let alone = |file: &str| Choice {
        // A GGUF file holds configuration and tokenizer itself.
        beside: collected(names, is_paper),
        weights: Weights::File(file.to_owned()),
    };
    if let Some(file) = &model.file {
        if gguf.contains(&file.as_str()) {
            return Ok(alone(file));
        }
        return Err(HubError::NoGguf {
            repository: model.repository.clone(),
            file: file.clone(),
            files: listed(&gguf),
            nearest: nearest(file, gguf.iter().copied()).map(str::to_owned),
        });
    }
    let weights = if is_there(SAFETENSORS) {
        Weights::File(SAFETENSORS.to_owned())
    } else if is_there(SAFETENSORS_INDEX) {
        Weights::Index(SAFETENSORS_INDEX)
    } else if is_there(PYTORCH) {
        Weights::File(PYTORCH.to_owned())
    } else if is_there(PYTORCH_INDEX) {
        Weights::Index(PYTORCH_INDEX)
    } else {
        let (name, files) = (model.to_string(), listed(&gguf));
        return match gguf[..] {
            [] => Err(HubError::NoWeights { model: name, files: listed(names) }),
            [only] => Ok(alone(only)),
            [first, ..] => {
                let example = HubModel { file: Some(first.to_owned()), ..model.clone() };
                Err(HubError::SeveralGguf { model: name, files, example: example.to_string() })
            }
        };
    };
    let lacks = |file, hint| HubError::NoFile {
        model: model.to_string(),
        file,
        files: listed(names),
        hint,
    };
    if !is_there(CONFIG) {
        return Err(lacks(CONFIG, "it may be an adapter or a part of a model"));
    }
    if !names.iter().any(|name| is_tokenizer(name)) {
        return Err(lacks("tokenizer", "its tokenizer may be another repository's"));
    }
    let wanted =
        |name: &str| BESIDE.contains(&name) || name == MERGES || is_paper(name) || is_pieces(name);
    Ok(Choice { beside: collected(names, wanted), weights })
}

/// Whether a tokenizer is made from this file.
pub(super) fn is_tokenizer(name: &str) -> bool {
    ["tokenizer.json", "vocab.txt", "vocab.json"].contains(&name) || is_pieces(name)
}

/// Whether a file of weights may be a shard.
pub(super) fn is_shard(name: &str) -> bool {
    is_plain(name) && (name.ends_with(".safetensors") || name.ends_with(".bin"))
}

/// A SentencePiece model: `spiece.model`, `sentencepiece.bpe.model`, `tokenizer.model`.
fn is_pieces(name: &str) -> bool {
    is_plain(name) && name.ends_with(".model")
}

/// What is for people: the description and the licence.
fn is_paper(name: &str) -> bool {
    name == "README.md" || (is_plain(name) && name.starts_with("LICENSE"))
}

fn collected(names: &[&str], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut chosen: Vec<String> =
        names.iter().filter(|name| wanted(name)).map(|name| (*name).to_owned()).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(source: &str, names: &[&str]) -> Result<Choice, HubError> {
        choose(&source.parse().unwrap(), names)
    }

    #[test]
    fn only_what_is_read_is_chosen() {
        let names = [
            ".gitattributes",
            "../config.json",
            "LICENSE",
            "LICENSE/../../x",
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "model.onnx",
            "model.safetensors",
            "modeling_own.py",
            "onnx/model.safetensors",
            "pytorch_model.bin",
            "../spiece.model",
            "spiece.model",
            "tf_model.h5",
            "tokenizer.json",
        ];
        let choice = chosen("hf:a/b", &names).unwrap();
        let beside = ["LICENSE", "README.md", "config.json", "spiece.model", "tokenizer.json"];
        assert_eq!(choice.beside, beside);
        assert_eq!(choice.weights, Weights::File("model.safetensors".to_owned()));
    }

    #[test]
    fn weights_are_chosen_by_rank() {
        let with = |weights: &[&str]| {
            let names = [&["config.json", "vocab.txt"], weights].concat();
            chosen("hf:a/b", &names).map(|choice| choice.weights)
        };
        let all = [SAFETENSORS_INDEX, PYTORCH, PYTORCH_INDEX, "a.gguf"];
        assert_eq!(with(&all).unwrap(), Weights::Index(SAFETENSORS_INDEX));
        assert_eq!(with(&all[1..]).unwrap(), Weights::File(PYTORCH.to_owned()));
        assert_eq!(with(&all[2..]).unwrap(), Weights::Index(PYTORCH_INDEX));
        assert_eq!(with(&all[3..]).unwrap(), Weights::File("a.gguf".to_owned()));
        let error = with(&["a.gguf", "b.gguf"]).unwrap_err().to_string();
        assert!(error.contains("a.gguf, b.gguf") && error.contains("hf:a/b/a.gguf"), "{error}");
        let error = with(&["model.onnx"]).unwrap_err().to_string();
        assert!(error.contains("config.json, vocab.txt, model.onnx"), "{error}");
    }

    #[test]
    fn one_gguf_is_chosen_by_its_name() {
        let names =
            ["config.json", "README.md", "toy-Q4_0.gguf", "toy-Q8_0.gguf", "tokenizer.json"];
        let choice = chosen("hf:a/b/toy-Q8_0.gguf", &names).unwrap();
        assert_eq!(choice.beside, ["README.md"]);
        assert_eq!(choice.weights, Weights::File("toy-Q8_0.gguf".to_owned()));
        let error = chosen("hf:a/b/toy-Q5_0.gguf", &names).unwrap_err().to_string();
        assert!(error.contains("did you mean toy-Q"), "{error}");
    }

    #[test]
    fn weights_need_a_config_and_a_tokenizer() {
        let error = chosen("hf:a/b", &["model.safetensors"]).unwrap_err().to_string();
        assert!(error.contains("no config.json"), "{error}");
        let error = chosen("hf:a/b", &["model.safetensors", "config.json"]).unwrap_err();
        assert!(error.to_string().contains("no tokenizer"), "{error}");
    }
}
