//! Prompts of other programs.

mod common;

use std::path::{Path, PathBuf};

use backbone::Backbone;
use burn::tensor::{Device, Tensor};
use common::tiny_llama;
use serde_json::Value;
use trainer::Error;
use trainer::import::{ImportError, Imported, import};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn llama() -> Backbone {
    backbone::load(&tiny_llama(), &Device::flex()).unwrap()
}

fn numbers(imported: Imported) -> Vec<f32> {
    imported.prompt.vectors.map(Tensor::into_data).unwrap().iter().collect()
}

#[test]
fn the_published_codes_encoder_gives_its_vectors() {
    let backbone = llama();
    let file = golden("published.ckpt");
    let imported = import(&file, Some("[h:1] is [h:2] [x] [h:1] [z]"), &backbone).unwrap();
    assert_eq!(imported.unused, 0);
    let text = std::fs::read_to_string(golden("published.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let expected = expected["data"].as_array().unwrap();
    let found = numbers(imported);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected.as_f64().unwrap()).abs() < 1e-6);
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let backbone = llama();
    let file = golden("published.ckpt");
    let refused = |file: &Path, template: Option<&str>| {
        let error = import(file, template, &backbone).unwrap_err();
        match error {
            Error::Import(error) => error,
            other => panic!("{other}"),
        }
    };
    assert!(matches!(refused(&file, None), ImportError::NoTemplate { .. }));
    let error = refused(&file, Some("[h:3] [x] [z]"));
    assert!(matches!(error, ImportError::Count { expected: 3, found: 4, .. }), "{error}");
    // Other tensors, and a folder of something else.
    let error = refused(&tiny_llama().join("model.safetensors"), Some("[h:4] [x] [z]"));
    assert!(matches!(error, ImportError::Unknown { .. }), "{error}");
    let error = refused(&tiny_llama(), Some("[h:4] [x] [z]"));
    assert!(error.to_string().contains("adapter_config.json"), "{error}");
    let wide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbone/tests/golden/tiny_gpt2");
    let wide = backbone::load(&wide, &Device::flex()).unwrap();
    let error = import(&file, Some("[h:4] [x] [z]"), &wide).unwrap_err();
    assert!(error.to_string().contains("vectors of 24 numbers"), "{error}");
}
