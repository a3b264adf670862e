//! Hugging Face folders: opened, in one file or in shards, and what they may lack.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use backbone::source::{self, SourceError};
use ptuning_core::language_model::Tokenize;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny_llama")
}

/// A copy of the tiny folder without its weights.
fn without_weights() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(tiny().join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn write(path: &Path, tensors: &[(&str, Dtype, &[usize], &[u8])]) {
    let views: Vec<(String, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            ((*name).to_owned(), TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
        })
        .collect();
    serialize_to_file(views, None::<HashMap<String, String>>, path).unwrap();
}

fn refused(folder: &Path) -> SourceError {
    source::open(folder).err().expect("the folder is refused")
}

#[test]
fn a_folder_opens_with_its_config_weights_and_tokenizer() {
    let source = source::open(&tiny()).unwrap();
    assert_eq!(source.config["model_type"], "llama");
    let name = "model.embed_tokens.weight";
    let shape = source.weights.shape(name).unwrap();
    assert_eq!(source.weights.read_vec(name).unwrap().len(), shape.iter().product::<usize>());
    assert!(!source.tokenizer.ids("The capital").is_empty());
    assert_eq!(source.identity.file, Path::new("tiny_llama"));
}

#[test]
fn floats_of_every_width_are_widened() {
    let folder = without_weights();
    let path = folder.path().join("model.safetensors");
    write(
        &path,
        &[
            ("f32", Dtype::F32, &[2], &[1.5_f32.to_le_bytes(), (-0.25_f32).to_le_bytes()].concat()),
            ("f16", Dtype::F16, &[1, 2], &[0x00, 0x3e, 0x00, 0xb4]),
            ("bf16", Dtype::BF16, &[2, 1], &[0xc0, 0x3f, 0x80, 0xbe]),
            ("i64", Dtype::I64, &[1], &[0; 8]),
            ("scalar", Dtype::F32, &[], &2.0_f32.to_le_bytes()),
        ],
    );
    let weights = source::open(folder.path()).unwrap().weights;
    for name in ["f32", "f16", "bf16"] {
        assert_eq!(weights.read_vec(name).unwrap(), [1.5, -0.25], "{name}");
    }
    assert_eq!(weights.read_vec("scalar").unwrap(), [2.0]);
    assert_eq!(weights.dtype("i64"), None);
    let error = weights.read_vec("i64").unwrap_err().to_string();
    assert!(error.contains("i64 is stored as I64") && error.contains("F32, F16"), "{error}");
    let error = weights.read_vec("f31").unwrap_err().to_string();
    assert!(error.contains("no tensor f31") && error.contains("did you mean f32?"), "{error}");
}

#[test]
fn shards_are_one_model() {
    let folder = without_weights();
    let at = |file: &str| folder.path().join(file);
    write(&at("a.safetensors"), &[("x", Dtype::F32, &[1], &1.0_f32.to_le_bytes())]);
    write(&at("b.safetensors"), &[("y", Dtype::F32, &[1], &2.0_f32.to_le_bytes())]);
    let index = |map: serde_json::Value| {
        let text = serde_json::json!({ "weight_map": map }).to_string();
        fs::write(at("model.safetensors.index.json"), text).unwrap();
    };
    index(serde_json::json!({ "x": "a.safetensors", "y": "b.safetensors" }));
    let weights = source::open(folder.path()).unwrap().weights;
    assert_eq!(weights.names(), ["x", "y"]);
    assert_eq!(weights.read_vec("y").unwrap(), [2.0]);

    index(serde_json::json!({ "x": "a.safetensors", "y": "c.safetensors" }));
    assert!(
        matches!(refused(folder.path()), SourceError::MissingShard { shard, .. } if shard == "c.safetensors")
    );
    index(serde_json::json!({ "x": "../a.safetensors" }));
    assert!(matches!(refused(folder.path()), SourceError::ShardName { .. }));
    index(serde_json::json!({ "x": 1 }));
    assert!(matches!(refused(folder.path()), SourceError::JsonKey { key: "weight_map", .. }));
    index(serde_json::json!({ "x": "a.safetensors", "y": "c.safetensors" }));
    fs::copy(at("a.safetensors"), at("c.safetensors")).unwrap();
    assert!(
        matches!(refused(folder.path()), SourceError::DuplicateTensor { name, .. } if name == "x")
    );
}

#[test]
fn a_folder_that_lacks_a_file_says_which() {
    let missing = Path::new("/nowhere/at/all");
    assert!(matches!(refused(missing), SourceError::NotFound { path } if path == missing));

    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(refused(folder.path()), SourceError::MissingFile { file: "config.json", .. }));
    for name in ["a.gguf", "b.gguf"] {
        fs::write(folder.path().join(name), b"GGUF").unwrap();
    }
    let error = refused(folder.path()).to_string();
    assert!(error.contains("a.gguf and b.gguf") && error.contains("hint: name the one"), "{error}");
    fs::remove_file(folder.path().join("b.gguf")).unwrap();
    assert!(
        matches!(refused(folder.path()), SourceError::Gguf { path, .. } if path.ends_with("a.gguf"))
    );

    let folder = without_weights();
    assert!(matches!(
        refused(folder.path()),
        SourceError::MissingFile { file: "model.safetensors", .. }
    ));
    fs::copy(tiny().join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    assert!(matches!(
        refused(folder.path()),
        SourceError::MissingFile { file: "tokenizer.json", .. }
    ));

    let file = folder.path().join("notes.txt");
    fs::write(&file, "hello").unwrap();
    assert!(matches!(refused(&file), SourceError::NotABackbone { .. }));
}

#[test]
fn damaged_files_are_named() {
    let folder = without_weights();
    let weights = folder.path().join("model.safetensors");
    let whole = fs::read(tiny().join("model.safetensors")).unwrap();
    for length in [0, 7, 8, 100, whole.len() - 1] {
        fs::write(&weights, &whole[..length]).unwrap();
        let error = refused(folder.path());
        assert!(
            matches!(&error, SourceError::Safetensors { path, .. } if *path == weights),
            "{error}"
        );
        assert!(error.source().is_some());
    }
    fs::write(&weights, &whole).unwrap();

    let tokenizer = folder.path().join("tokenizer.json");
    fs::write(&tokenizer, "{}").unwrap();
    assert!(
        matches!(refused(folder.path()), SourceError::Tokenizer { path, .. } if path == tokenizer)
    );
    let config = folder.path().join("config.json");
    fs::write(&config, "{").unwrap();
    assert!(matches!(refused(folder.path()), SourceError::Json { path, .. } if path == config));
    fs::write(&config, "{\"model_type\": 3}").unwrap();
    assert!(matches!(refused(folder.path()), SourceError::JsonKey { key: "model_type", .. }));
}
