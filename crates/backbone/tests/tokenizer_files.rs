//! Files of tokenizers that are missing, do not fit together, or lie: each is named, none panics.

mod common;

use std::error::Error;
use std::path::Path;

use backbone::source;
use common::folder;
use ptuning_core::language_model::Tokenize;
use serde_json::{Value, json};

/// A copy of a golden tokenizer with other files in it or in place of its own.
fn copy(kind: &str, files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder("tokenizers").join(kind)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    for (file, bytes) in files {
        std::fs::write(copy.path().join(file), bytes).unwrap();
    }
    copy
}

fn file(kind: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder("tokenizers").join(kind).join(name)).unwrap()
}

fn refused(folder: &Path) -> String {
    match source::tokenizer(folder) {
        Ok(_) => panic!("{} was accepted", folder.display()),
        Err(error) => {
            let because = error.source().map(ToString::to_string);
            format!("{error}: {}", because.unwrap_or_default())
        }
    }
}

/// A folder with these changes is refused in these words.
fn check(kind: &str, files: &[(&str, &[u8])], expected: &[&str]) {
    let error = refused(copy(kind, files).path());
    for words in expected {
        assert!(error.contains(words), "{kind}: {error}");
    }
}

/// A tokenizer_config.json with one key more.
fn config(kind: &str, key: &str, value: Value) -> Vec<u8> {
    let path = folder("tokenizers").join(kind).join("tokenizer_config.json");
    let bytes = std::fs::read(path).unwrap_or_else(|_| b"{}".to_vec());
    let mut config: Value = serde_json::from_slice(&bytes).unwrap();
    config[key] = value;
    config.to_string().into_bytes()
}

#[test]
fn what_the_files_are_for_must_be_known() {
    let class = |class: &str| json!({ "tokenizer_class": class }).to_string().into_bytes();
    let unknown = class("QWen2Tokenizer");
    let files: &[(&str, &[u8])] = &[("tokenizer_config.json", &unknown)];
    check(
        "gpt2",
        files,
        &["\"QWen2Tokenizer\"", "did you mean Qwen2Tokenizer?", "save_pretrained"],
    );
    // The class goes before the family, and needs its own files.
    let bert = class("BertTokenizerFast");
    let files: &[(&str, &[u8])] = &[("tokenizer_config.json", &bert)];
    let expected = ["BertTokenizer is read from vocab.txt; found vocab.json, merges.txt", "hint:"];
    check("gpt2", files, &expected);
    let folder = copy("roberta", &[]);
    std::fs::remove_file(folder.path().join("merges.txt")).unwrap();
    let error = refused(folder.path());
    assert!(error.contains("vocab.json and merges.txt; found vocab.json"), "{error}");
    let files: &[(&str, &[u8])] = &[("config.json", b"{\"model_type\": \"modernbert\"}")];
    check("gpt2", files, &["model_type \"modernbert\"", "tokenizer_class", "hint:"]);
    let files: &[(&str, &[u8])] = &[("tokenizer_config.json", b"{\"tokenizer_class\": 3}")];
    check("gpt2", files, &["tokenizer_config.json", "tokenizer_class should be a string"]);
}

#[test]
fn a_class_that_says_nothing_leaves_it_to_the_family() {
    let generic = config("gpt2", "tokenizer_class", json!("PreTrainedTokenizerFast"));
    let folder = copy("gpt2", &[("tokenizer_config.json", &generic)]);
    assert!(source::tokenizer(folder.path()).is_ok());
}

#[test]
fn special_tokens_are_as_the_files_say() {
    let ids = |kind: &str, key: &str, value: Value| {
        let config = config(kind, key, value);
        let folder = copy(kind, &[("tokenizer_config.json", &config)]);
        let special = source::tokenizer(folder.path()).unwrap().special().clone();
        (special.prefix, special.suffix)
    };
    assert_eq!(ids("llama", "add_bos_token", json!(null)), (vec![1], vec![]), "it is the default");
    assert_eq!(ids("llama", "add_bos_token", json!(false)), (vec![], vec![]));
    assert_eq!(ids("llama", "add_eos_token", json!(true)), (vec![1], vec![2]));
    assert_eq!(ids("gpt2", "add_bos_token", json!(true)), (vec![0], vec![]));
    assert_eq!(ids("gpt2", "bos_token", json!(null)), (vec![], vec![]));
    assert_eq!(ids("bert", "add_bos_token", json!(false)), (vec![2], vec![3]), "BERT has no such");
    // special_tokens_map.json goes before tokenizer_config.json.
    let names =
        copy("bert", &[("special_tokens_map.json", b"{\"mask_token\": {\"content\": \"is\"}}")]);
    let tokenizer = source::tokenizer(names.path()).unwrap();
    assert_eq!(tokenizer.special().mask, tokenizer.id("is"));
    assert_ne!(tokenizer.special().mask, Some(4));
    // Letters are lowered unless it is said otherwise.
    let upper = config("albert", "do_lower_case", json!(false));
    let upper = copy("albert", &[("tokenizer_config.json", &upper)]);
    let [lower, upper] = [&folder("tokenizers").join("albert"), upper.path()]
        .map(|path| source::tokenizer(path).unwrap().ids("OSLO"));
    assert_ne!(lower, upper);
}

/// transformers: `AutoTokenizer.from_pretrained` of such a folder.
#[test]
fn letters_are_lowered_as_the_config_says_whatever_tokenizer_json_says() {
    let cased = source::tokenizer(&folder("tokenizers").join("bert")).unwrap();
    let json = cased.to_json().unwrap();
    let pieces = |config: Value| -> Vec<String> {
        let config = config.to_string();
        let files: &[(&str, &[u8])] =
            &[("tokenizer.json", json.as_bytes()), ("tokenizer_config.json", config.as_bytes())];
        let tokenizer = source::tokenizer(copy("bert", files).path()).unwrap();
        let ids = tokenizer.ids("Oslo Is");
        ids.into_iter().map(|id| tokenizer.token(id).unwrap()).collect()
    };
    let (whole, lowered) = (["Oslo", "Is"], ["o", "##s", "##lo", "is"]);
    assert_eq!(pieces(json!({})), whole);
    assert_eq!(pieces(json!({ "do_lower_case": true })), lowered);
    assert_eq!(
        pieces(json!({ "do_lower_case": true, "tokenizer_class": "BertTokenizerFast" })),
        lowered
    );
    let generic = json!({ "do_lower_case": true, "tokenizer_class": "PreTrainedTokenizerFast" });
    assert_eq!(pieces(generic), whole);
}

#[test]
fn special_tokens_that_contradict_the_vocabulary_are_named() {
    let files: &[(&str, &[u8])] = &[("added_tokens.json", b"{\"<sep>\": 999}")];
    check("gpt2", files, &["vocab.json", "\"<sep>\" should have the id 999", "gives it 407"]);
    let files: &[(&str, &[u8])] = &[("added_tokens.json", b"{\"<sep>\": -1}")];
    check("gpt2", files, &["added_tokens.json", "an id such as"]);
    let wrong = config("qwen2", "added_tokens_decoder", json!({ "one": { "content": "<a>" } }));
    let files: &[(&str, &[u8])] = &[("tokenizer_config.json", &wrong)];
    check("qwen2", files, &["tokenizer_config.json", "added_tokens_decoder should be an object"]);
    let wrong = config("roberta", "mask_token", json!("<blank>"));
    check("roberta", &[("tokenizer_config.json", &wrong)], &["no <blank>"]);
    let wrong = config("albert", "do_lower_case", json!("yes"));
    check("albert", &[("tokenizer_config.json", &wrong)], &["do_lower_case should be true, false"]);
    let wrong = config("t5", "extra_ids", json!(1_000_000_000));
    check("t5", &[("tokenizer_config.json", &wrong)], &["extra_ids should be a whole number"]);
}

#[test]
fn vocabularies_and_merges_that_do_not_fit_are_named() {
    let merges = [file("gpt2", "merges.txt"), b"Ngh Zzz\n".to_vec()].concat();
    let line = String::from_utf8(merges.clone()).unwrap().lines().count();
    check(
        "gpt2",
        &[("merges.txt", &merges)],
        &["merges.txt", &format!("line {line}: \"Ngh Zzz\"")],
    );
    check("gpt2", &[("merges.txt", b"\xff")], &["merges.txt is not UTF-8"]);
    check(
        "gpt2",
        &[("vocab.json", b"{\"a\": 0, \"b\": 0}")],
        &["the id 0 is that of \"a\" and of \"b\""],
    );
    check("gpt2", &[("vocab.json", b"[1]")], &["vocab.json", "an object of tokens and their ids"]);
    check("gpt2", &[("vocab.json", b"{\"a\": -1}")], &["vocab.json", "an object of tokens"]);
}

#[test]
fn a_sentence_piece_model_must_be_one_and_of_the_right_kind() {
    let (bpe, unigram) = (file("llama", "tokenizer.model"), file("t5", "spiece.model"));
    let words = "LlamaTokenizer is for a BPE model of SentencePiece, this one is unigram";
    check("llama", &[("tokenizer.model", &unigram)], &["tokenizer.model", words]);
    check("t5", &[("spiece.model", &bpe)], &["T5Tokenizer is for a unigram model"]);
    // What Llama 3 has under this name.
    let tiktoken = b"IQ== 0\nIg== 1\nIw== 2\n";
    check("llama", &[("tokenizer.model", tiktoken)], &["not a SentencePiece model", "at byte"]);
    check("llama", &[("tokenizer.model", b"")], &["not a SentencePiece model"]);
    // A piece that is there twice.
    let piece = b"\x0a\x08\x0a\x01a\x15\0\0\0\0";
    check("llama", &[("tokenizer.model", &[&bpe[..], piece, piece].concat())], &["is there twice"]);
    check(
        "albert",
        &[("spiece.model", &[&file("albert", "spiece.model")[..], piece, piece].concat())],
        &["is there twice"],
    );
}

#[test]
fn a_damaged_character_map_in_a_tokenizer_json_is_refused() {
    let tokenizer = source::tokenizer(&folder("tokenizers").join("t5")).unwrap();
    let mut json: Value = serde_json::from_str(&tokenizer.to_json().unwrap()).unwrap();
    let map = &mut json["normalizer"]["normalizers"][0]["precompiled_charsmap"];
    // One unit, whose children would stand where nothing is.
    assert!(map.as_str().is_some_and(|map| map.len() > 100), "{map}");
    *map = json!("BAAAAAAAAAA=");
    let json = json.to_string().into_bytes();
    check("t5", &[("tokenizer.json", &json)], &["tokenizer.json", "precompiled_charsmap"]);
}

#[test]
fn a_damaged_sentence_piece_model_never_panics() {
    let texts = ["The capital of ﬁne ＡＢＣ is e\u{301}", "\u{200b}\u{a0}½ x", "日本 🏽 <s>"];
    let mut opened = 0;
    for (kind, name) in [
        ("albert", "spiece.model"),
        ("xlm_roberta", "sentencepiece.bpe.model"),
        ("t5", "spiece.model"),
        ("llama", "tokenizer.model"),
        ("gemma", "tokenizer.model"),
    ] {
        let whole = file(kind, name);
        let folder = copy(kind, &[]);
        let path = folder.path().join(name);
        let mut try_with = |bytes: &[u8]| {
            // A new file is not waited for, as a file written over is on some file systems.
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, bytes).unwrap();
            if let Ok(tokenizer) = source::tokenizer(folder.path()) {
                opened += 1;
                for text in texts {
                    tokenizer.encode(text);
                }
            }
        };
        for end in (0..whole.len()).step_by(37) {
            try_with(&whole[..end]);
        }
        // Every bit of the character map's trie and of what stands around it, in turn.
        for at in (0..whole.len()).step_by(11) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            try_with(&damaged);
        }
        // The map alone, more densely: it is at the end.
        for at in (whole.len().saturating_sub(1500)..whole.len()).step_by(3) {
            for bits in [0xff, 0x80, 0x04] {
                let mut damaged = whole.clone();
                damaged[at] ^= bits;
                try_with(&damaged);
            }
        }
    }
    assert!(opened > 100, "only {opened} damaged files were opened: the check tries too little");
}
