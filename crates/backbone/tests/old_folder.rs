//! Folders as they were before safetensors and tokenizer.json: a pickled state dict and a vocab.txt.

mod common;

use std::path::Path;

use burn::tensor::Device;
use common::{difference, embed, folder, golden, golden_layout, values};
use ptuning_core::language_model::Tokenize;
use serde_json::Value;

/// A copy of the old folder with other files in it or in place of its own.
fn copy(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["config.json", "pytorch_model.bin", "vocab.txt"] {
        std::fs::copy(folder("old_bert").join(file), copy.path().join(file)).unwrap();
    }
    for (file, bytes) in files {
        std::fs::write(copy.path().join(file), bytes).unwrap();
    }
    copy
}

fn refused(folder: &Path) -> String {
    match backbone::load(folder, &Device::flex()) {
        Ok(_) => panic!("{} was accepted", folder.display()),
        Err(error) => {
            let because = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", because.unwrap_or_default())
        }
    }
}

#[test]
fn a_pickled_state_dict_gives_the_same_logits() {
    let golden = golden("tiny_bert");
    let backbone = backbone::load(&folder("old_bert"), &Device::flex()).unwrap();
    let lm = backbone.model.as_ref();
    let x = embed(lm, &golden["ids"]);
    let logits = values(lm.head(lm.encode(x.into(), &golden_layout(lm))));
    // The old folder holds the same numbers in half precision.
    let worst = difference(&logits, &golden["logits"]);
    assert!(worst < 0.05, "logits differ by {worst}");
    let special = backbone.tokenizer.special();
    assert_eq!((special.prefix.as_slice(), special.suffix.as_slice()), (&[2][..], &[3][..]));
    assert_eq!((special.mask, special.pad), (Some(4), Some(0)));
}

#[test]
fn a_vocabulary_gives_the_ids_that_transformers_gives() {
    let golden: Value =
        serde_json::from_slice(&std::fs::read(folder("old_bert").join("tokens.json")).unwrap())
            .unwrap();
    for (kind, config) in [("uncased", "{}"), ("cased", "{\"do_lower_case\": false}")] {
        let copy = copy(&[("tokenizer_config.json", config.as_bytes())]);
        let tokenizer = backbone::load(copy.path(), &Device::flex()).unwrap().tokenizer;
        for case in golden[kind].as_array().unwrap() {
            let text = case[0].as_str().unwrap();
            let expected: Vec<u32> =
                case[1].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
            assert_eq!(tokenizer.ids(text), expected, "{kind}: {text:?}");
            // The same with spans, which cut the text between characters.
            let tokens = tokenizer.encode(text);
            assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), expected);
            for token in tokens {
                assert!(text.get(token.span.clone()).is_some(), "{kind}: {text:?}, {token:?}");
            }
        }
    }
}

#[test]
fn a_pickle_runs_no_code_and_damage_is_named() {
    let touched = tempfile::tempdir().unwrap();
    let file = touched.path().join("touched");
    let command = format!("touch {}", file.display());
    let length = u32::try_from(command.len()).unwrap().to_le_bytes();
    let evil =
        [b"\x80\x02cposix\nsystem\nX".as_slice(), &length, command.as_bytes(), b"\x85R."].concat();
    let whole = std::fs::read(folder("old_bert").join("pytorch_model.bin")).unwrap();
    for bytes in [evil.as_slice(), &whole[..whole.len() / 2], b"PK\x03\x04", b""] {
        let copy = copy(&[("pytorch_model.bin", bytes)]);
        let error = refused(copy.path());
        assert!(error.contains("pytorch_model.bin"), "{error}");
    }
    assert!(!file.exists(), "a pickle ran a command");
}

#[test]
fn a_vocabulary_that_lacks_something_is_refused() {
    let copy = copy(&[("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n")]);
    let error = refused(copy.path());
    assert!(error.contains("vocab.txt") && error.contains("no [MASK]"), "{error}");
    std::fs::write(copy.path().join("vocab.txt"), b"\xff\xfe").unwrap();
    assert!(refused(copy.path()).contains("is not UTF-8"), "{}", refused(copy.path()));
}
