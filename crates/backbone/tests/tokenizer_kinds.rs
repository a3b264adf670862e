//! Every kind of tokenizer gives the ids that transformers gives, on two thousand varied strings.
//!
//! Golden ids and how the strings are made: `scripts/reference/tokenizer_kinds.py`. The real tokenizers
//! are compared when they have been fetched; with `PTUNE_REQUIRE_REAL=1` their absence is a failure.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use backbone::source;
use backbone::source::fetch::{Located, resolve};
use backbone::tokenizer::Tokenizer;
use common::folder;
use ptuning_core::language_model::{Objective, Tokenize};
use ptuning_core::template::{BoundTemplate, Fields, Template};
use ptuning_core::verbalizer::single_token;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// How the strings are made.
#[derive(Deserialize)]
struct Strings {
    count: usize,
    seed: u64,
    sha256: String,
    words: Vec<String>,
    separators: Vec<String>,
}

/// What transformers gives.
#[derive(Deserialize)]
struct Golden {
    hash: String,
    /// Of each string; not there for tokenizers that are compared as a whole.
    #[serde(default)]
    digits: String,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    mask: Option<u32>,
    pad: Option<u32>,
    #[serde(default)]
    answers: BTreeMap<String, u32>,
    #[serde(default)]
    sentence: Vec<u32>,
}

fn json<T: for<'a> Deserialize<'a>>(file: &str) -> T {
    let path = folder("tokenizers").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The strings, made as the script makes them.
fn strings() -> Vec<String> {
    let Strings { count, seed, sha256, words, separators } = json("strings.json");
    let mut state = seed;
    let mut below = |limit: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut made = Vec::new();
    for _ in 0..count {
        let opened = below(4) == 0;
        let mut text =
            if opened { separators[below(separators.len())].clone() } else { String::new() };
        let length = if below(50) == 0 { 0 } else { 1 + below(8) };
        for _ in 0..length {
            text += &words[below(words.len())];
            text += &separators[below(separators.len())];
        }
        let cut = below(2) == 0;
        // What Python's `rstrip` calls white space beyond Rust's.
        let white = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
        made.push(if cut { text.trim_end_matches(white).to_owned() } else { text });
    }
    assert_eq!(hex(made.join("\0").as_bytes()), sha256, "other strings than the script's");
    made
}

/// Ids of every string, special tokens, and answers in the middle of a sentence.
fn check(what: &str, tokenizer: &Tokenizer, golden: &Golden) {
    let strings = strings();
    let (mut all, mut wrong) = (String::new(), Vec::new());
    for (index, text) in strings.iter().enumerate() {
        let tokens = tokenizer.encode(text);
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        assert_eq!(ids, tokenizer.ids(text), "{what}: {text:?}");
        let mut end = 0;
        for token in &tokens {
            let span = token.span.clone();
            assert!(text.get(span.clone()).is_some(), "{what}: {text:?}, {token:?}");
            assert!(span.end >= end, "{what}: {text:?}, {token:?} after {end}");
            end = span.end;
        }
        let line = ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let expected = golden.digits.get(4 * index..4 * index + 4);
        if expected.is_some_and(|digits| !hex(line.as_bytes()).starts_with(digits)) {
            wrong.push(format!("{text:?}: {ids:?}"));
        }
        all += &line;
        all.push('\n');
    }
    let count = strings.len();
    let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{what}: {} of {count} differ, such as\n{shown}", wrong.len());
    assert_eq!(hex(all.as_bytes()), golden.hash, "{what}");

    let special = tokenizer.special();
    let found = (&special.prefix, &special.suffix, special.mask);
    assert_eq!(found, (&golden.prefix, &golden.suffix, golden.mask), "{what}");
    assert_eq!(special.pad, golden.pad, "{what}");

    let objective = if special.mask.is_some() && !special.suffix.is_empty() {
        Objective::Masked
    } else {
        Objective::Causal
    };
    let template = Template::parse("The capital of [x] is [z]").unwrap();
    let bound = BoundTemplate::bind(template, tokenizer, objective, 512).unwrap();
    let fields = Fields::from([("x".to_owned(), "Norway".to_owned())]);
    if !golden.sentence.is_empty() {
        // Llama 1 and 2 open a text with a space, which is the template's to say here.
        let space = if what == "llama" { " " } else { "" };
        let template = Template::parse(&format!("{space}The capital of [x] is [z]")).unwrap();
        let bound = BoundTemplate::bind(template, tokenizer, objective, 512).unwrap();
        let mut encoded = bound.encode(&fields, tokenizer).unwrap();
        if objective == Objective::Masked {
            assert_eq!(Some(encoded.ids.remove(encoded.answer)), special.mask, "{what}");
        }
        // A causal model's answer stands where the sequence would be closed.
        let closed = golden.suffix.len() * usize::from(objective == Objective::Causal);
        let expected = &golden.sentence[..golden.sentence.len() - closed];
        assert_eq!(encoded.ids, expected, "{what}");
    }
    for (word, &expected) in &golden.answers {
        assert_eq!(single_token(word, &bound, tokenizer), Some(expected), "{what}: {word}");
        // What stands before the answer is what stands before it in the sentence.
        let space = if tokenizer.opens_with_space() { " " } else { "" };
        let sentence = format!("{space}The capital of Norway is {word} today");
        let sentence = tokenizer.ids(&sentence);
        let encoded = bound.encode(&fields, tokenizer).unwrap();
        let end = encoded.answer + usize::from(objective == Objective::Causal);
        let before = &encoded.ids[golden.prefix.len()..end];
        assert_eq!(sentence[..before.len()], *before, "{what}: {word}");
        assert_eq!(sentence[before.len()], expected, "{what}: {word}");
    }
}

fn golden(name: &str) -> Golden {
    let mut all: BTreeMap<String, Golden> = json("ids.json");
    all.remove(name).unwrap_or_else(|| panic!("no golden ids of {name}"))
}

/// Compares the tokenizer that a folder without tokenizer.json gives, and what it is as JSON.
fn check_kind(kind: &str) {
    let path = folder("tokenizers").join(kind);
    assert!(!path.join("tokenizer.json").exists());
    let tokenizer = source::tokenizer(&path).unwrap();
    check(kind, &tokenizer, &golden(kind));
    assert!(!golden(kind).answers.is_empty());
    let json = tokenizer.to_json().unwrap();
    let again = Tokenizer::from_json(json.as_bytes(), &Default::default()).unwrap();
    for text in strings().iter().step_by(7) {
        assert_eq!(again.encode(text), tokenizer.encode(text), "{kind} as JSON: {text:?}");
    }
    assert_eq!(again.special().prefix, tokenizer.special().prefix);
    assert_eq!(again.special().suffix, tokenizer.special().suffix);
}

macro_rules! kinds {
    ($($kind:ident),*) => {
        $(#[test]
        fn $kind() {
            check_kind(stringify!($kind));
        })*
    };
}

kinds!(albert, bert, gemma, gpt2, gpt_neox, llama, opt, qwen2, roberta, t5, xlm_roberta);

#[test]
fn tokenizer_json_of_every_tiny_family() {
    let all: BTreeMap<String, Golden> = json("ids.json");
    let tiny: Vec<_> = all.iter().filter(|(name, _)| name.starts_with("tiny_")).collect();
    assert!(tiny.len() >= 14, "only {} tiny families", tiny.len());
    for (name, golden) in tiny {
        check(name, &source::tokenizer(&folder(name)).unwrap(), golden);
    }
}

/// A model of the catalogue, or `None` where it is not here and need not be.
fn real(name: &str) -> Option<PathBuf> {
    match resolve(name, Path::new(".")) {
        Ok(Located::Present(path)) => Some(path),
        other => {
            let required = std::env::var_os("PTUNE_REQUIRE_REAL").is_some_and(|value| value == "1");
            assert!(!required, "PTUNE_REQUIRE_REAL=1, but {name} is not fetched: {other:?}");
            eprintln!("skipped: {name} is not fetched");
            None
        }
    }
}

#[test]
fn real_tokenizers() {
    for name in ["smollm2-135m", "bert-tiny"] {
        let Some(path) = real(name) else { continue };
        check(name, &source::tokenizer(&path).unwrap(), &golden(name));
    }
}
