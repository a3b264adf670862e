//! The tokenizer rebuilt from the real backbone's metadata, against transformers.
//!
//! Runs when `smollm2-135m` has been fetched; with `PTUNE_REQUIRE_REAL=1` its absence is a failure.
//! Golden ids: `scripts/reference/tokens.py`. `PTUNE_TOKENS` names a larger file of the same form
//! (`--all`) to compare as well, `PTUNE_REFERENCE_DIR` a folder that transformers wrote of the same
//! model, dequantised, to compare every weight and the ids.

use std::path::{Path, PathBuf};
use std::time::Instant;

use backbone::source::fetch::{Located, resolve};
use backbone::source::{self, Source};
use ptuning_core::language_model::Tokenize;
use serde::Deserialize;

const MODEL: &str = "smollm2-135m";

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

/// The real backbone's file, or `None` where it is not here and need not be.
fn real() -> Option<PathBuf> {
    match resolve(MODEL, Path::new(".")) {
        Ok(Located::Present(path)) => Some(path),
        other => {
            let required = std::env::var_os("PTUNE_REQUIRE_REAL").is_some_and(|value| value == "1");
            assert!(!required, "PTUNE_REQUIRE_REAL=1, but {MODEL} is not fetched: {other:?}");
            eprintln!("skipped: {MODEL} is not fetched");
            None
        }
    }
}

fn cases(path: &Path) -> Vec<Case> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn compare(source: &Source, cases: &[Case]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let found = source.tokenizer.ids(&case.text);
            (found != case.ids).then(|| format!("{:?}: {:?}, found {found:?}", case.text, case.ids))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn ids_are_those_of_transformers() {
    let Some(path) = real() else { return };
    let started = Instant::now();
    let source = source::open(&path).unwrap();
    eprintln!("opened in {:?}", started.elapsed());
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokens.json");
    let golden = cases(&golden);
    assert_eq!(golden.len(), 200);
    compare(&source, &golden);
    if let Some(all) = std::env::var_os("PTUNE_TOKENS") {
        let all = cases(Path::new(&all));
        compare(&source, &all);
        eprintln!("{} strings agree", all.len());
    }
}

#[test]
fn spans_cut_the_text_between_characters_and_leave_nothing_out() {
    let Some(path) = real() else { return };
    let tokenizer = source::open(&path).unwrap().tokenizer;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokens.json");
    let mut whole = 0;
    for Case { text, ids } in cases(&golden) {
        let tokens = tokenizer.encode(&text);
        assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), ids);
        // A few bytes of rare characters are no tokens of this vocabulary and get lost.
        if tokenizer.decode(&ids) != text {
            continue;
        }
        whole += 1;
        let mut covered = 0;
        for token in &tokens {
            let (span, stored) = (token.span.clone(), tokenizer.token(token.id).unwrap());
            assert!(!text[span.clone()].is_empty(), "{text:?}: {token:?}");
            // The next one, or another part of the character before.
            assert!(span.start <= covered && span.end >= covered, "{text:?}: {token:?}");
            if span.start == covered && stored.chars().count() == span.len() {
                assert_eq!(
                    tokenizer.decode(&[token.id]),
                    text[span.clone()],
                    "{text:?}: {token:?}"
                );
            }
            covered = span.end;
        }
        assert_eq!(covered, text.len(), "{text:?}");
    }
    assert!(whole > 180, "only {whole} strings come back whole");
    let spans = |text: &str| -> Vec<_> {
        tokenizer.encode(text).into_iter().map(|token| token.span).collect()
    };
    assert_eq!(spans(" capital Britain"), [0..8, 8..16]);
    assert_eq!(spans("a 🏽b").last(), Some(&(6..7)));
}

/// Every tensor and every id against the folder that transformers made of the same file.
#[test]
fn weights_are_those_of_transformers() {
    let Some(reference) = std::env::var_os("PTUNE_REFERENCE_DIR") else { return };
    let Some(path) = real() else { return };
    let (ours, theirs) =
        (source::open(&path).unwrap(), source::open(Path::new(&reference)).unwrap());
    let names = theirs.weights.names();
    assert_eq!(names.len(), ours.weights.names().len());
    for round in 1..=3 {
        let started = Instant::now();
        let numbers: usize =
            names.iter().map(|name| ours.weights.read_vec(name).unwrap().len()).sum();
        eprintln!("round {round}: {numbers} numbers dequantised in {:?}", started.elapsed());
    }
    for name in &names {
        assert_eq!(ours.weights.shape(name), theirs.weights.shape(name), "{name}");
        let (found, expected) =
            (ours.weights.read_vec(name).unwrap(), theirs.weights.read_vec(name).unwrap());
        assert!(found == expected, "{name} differs");
    }
    for key in [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
        "rms_norm_eps",
        "max_position_embeddings",
        "tie_word_embeddings",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
    ] {
        assert_eq!(ours.config[key], theirs.config[key], "{key}");
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokens.json");
    compare(&theirs, &cases(&golden));
}
