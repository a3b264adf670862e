//! A tokenizer from a tokenizer.json: special tokens, spans, and the way back to JSON.

use std::collections::HashMap;

use backbone::tokenizer::{Tokenizer, TokenizerError};
use ptuning_core::language_model::Tokenize;
use serde_json::{Value, json};

/// A WordPiece tokenizer as BERT's, with padding and truncation set, as published files have them.
fn bert() -> Value {
    let tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "capital", "##s", "of", "a"];
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), json!(id))).collect();
    let added: Vec<Value> = (0..5)
        .map(|id| {
            json!({ "id": id, "content": tokens[id], "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true })
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": { "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0 },
        "padding": { "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null,
                     "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" },
        "added_tokens": added,
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                        "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": vocab },
    })
}

fn build(json: &Value) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::from_json(json.to_string().as_bytes(), &HashMap::new())
}

#[test]
fn special_tokens_are_found_and_never_added() {
    let tokenizer = build(&bert()).unwrap();
    let special = tokenizer.special();
    assert_eq!((&special.prefix[..], &special.suffix[..]), (&[2][..], &[3][..]));
    assert_eq!((special.mask, special.pad), (Some(4), Some(0)));
    // Neither padded to 8 nor cut to 3.
    assert_eq!(tokenizer.ids("the capitals of the [MASK]"), [5, 6, 7, 8, 5, 4]);
    let tokens = tokenizer.encode("The  Capitals");
    let spans: Vec<_> = tokens.iter().map(|token| token.span.clone()).collect();
    assert_eq!(spans, [0..3, 5..12, 12..13]);
    assert_eq!(tokenizer.token(7).as_deref(), Some("##s"));
    assert_eq!(tokenizer.id("capital"), Some(6));
    assert_eq!(tokenizer.vocab_size(), 10);
}

#[test]
fn names_from_tokenizer_config_win() {
    let names = HashMap::from([("mask_token".to_owned(), "of".to_owned())]);
    let tokenizer = Tokenizer::from_json(bert().to_string().as_bytes(), &names).unwrap();
    assert_eq!(tokenizer.special().mask, Some(8));
}

#[test]
fn json_and_back_is_the_same_tokenizer() {
    let tokenizer = build(&bert()).unwrap();
    let again =
        Tokenizer::from_json(tokenizer.to_json().unwrap().as_bytes(), &HashMap::new()).unwrap();
    assert_eq!(again.special(), tokenizer.special());
    let text = "The capitals of [MASK] ☃";
    assert_eq!(again.encode(text), tokenizer.encode(text));
}

#[test]
fn no_space_is_put_before_a_text() {
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": { "type": "Sequence", "normalizers": [{ "type": "Prepend", "prepend": "_" }] },
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "post_processor": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                   "vocab": { "a": 0, "Ġ": 1, "Ġa": 2, "_": 3 }, "merges": [["Ġ", "a"]] },
    });
    let tokenizer = build(&json).unwrap();
    assert_eq!(tokenizer.ids("a a"), [0, 2]);
    let spans: Vec<_> = tokenizer.encode("a a").into_iter().map(|token| token.span).collect();
    assert_eq!(spans, [0..1, 1..3], "the space belongs to the token after it");
}

/// A Unigram tokenizer as T5's, in the older or the newer way of putting spaces before words.
fn t5(steps: Value) -> Value {
    let vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0), ("▁the", -2.0)];
    let vocab = vocab.into_iter().chain([("▁cat", -2.0), ("cat", -3.0), (".", -4.0)]);
    let special = |(id, content): (usize, &str)| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true })
    };
    let names = [(0, "<pad>"), (1, "</s>"), (2, "<unk>"), (8, "<extra_id_1>"), (9, "<extra_id_0>")];
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": names.map(special), "normalizer": null, "pre_tokenizer": steps,
        "post_processor": { "type": "TemplateProcessing",
            "single": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "SpecialToken": { "id": "</s>", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
            "special_tokens": { "</s>": { "id": "</s>", "ids": [1], "tokens": ["</s>"] } } },
        "decoder": null,
        "model": { "type": "Unigram", "unk_id": 2, "vocab": vocab.collect::<Vec<_>>() },
    })
}

#[test]
fn a_t5_answers_at_its_first_sentinel() {
    let metaspace = json!({ "type": "Metaspace", "replacement": "▁", "add_prefix_space": true });
    let split = json!({ "type": "WhitespaceSplit" });
    let older = json!({ "type": "Sequence", "pretokenizers": [split, metaspace] });
    // Where text is cut at white space, every word is a whole one; elsewhere it has the space that it
    // comes with.
    for (steps, first) in [(older, 5), (metaspace, 6)] {
        let tokenizer = build(&t5(steps.clone())).unwrap();
        let special = tokenizer.special();
        assert_eq!((special.mask, special.pad), (Some(9), Some(0)), "{steps}");
        assert_eq!((&special.prefix[..], &special.suffix[..]), (&[][..], &[1][..]), "{steps}");
        assert_eq!(tokenizer.ids(" the cat."), [4, 5, 7], "{steps}");
        assert_eq!(tokenizer.ids("cat the"), [first, 4], "{steps}");
        let spans = tokenizer.encode("cat the").into_iter().map(|token| token.span);
        let space = if first == 5 { 4 } else { 3 };
        assert_eq!(spans.collect::<Vec<_>>(), [0..3, space..7], "{steps}");
        let again = tokenizer.to_json().unwrap();
        let again = Tokenizer::from_json(again.as_bytes(), &HashMap::new()).unwrap();
        assert_eq!(again.encode(" the cat the"), tokenizer.encode(" the cat the"), "{steps}");
        assert_eq!(again.special(), special, "{steps}");
    }
}

#[test]
fn gaps_are_single_spaces_where_a_text_was_cut_at_them() {
    let metaspace = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true });
    let split = json!({ "type": "WhitespaceSplit" });
    let steps = json!({ "type": "Sequence", "pretokenizers": [split, metaspace] });
    let tokenizer = build(&t5(steps)).unwrap();
    assert_eq!(tokenizer.ids(" the \t\n cat"), [4, 5]);
}

#[test]
fn the_sentinels_of_an_mt5_are_words_of_its_vocabulary() {
    let mut json = t5(json!({ "type": "Metaspace", "replacement": "▁", "add_prefix_space": true }));
    json["added_tokens"].as_array_mut().unwrap().truncate(3);
    json["model"]["vocab"].as_array_mut().unwrap().push(json!(["▁<extra_id_0>", -9.0]));
    assert_eq!(build(&json).unwrap().special().mask, Some(8));
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    assert!(matches!(build(&json!({})), Err(TokenizerError::Json(_))));
    assert!(matches!(Tokenizer::from_json(b"\xff", &HashMap::new()), Err(TokenizerError::Json(_))));
    // No unknown token: text could not be encoded.
    let mut json = bert();
    json["model"]["unk_token"] = json!("[NONE]");
    assert!(matches!(build(&json), Err(TokenizerError::Encode(_))));
    // A merge longer than any token, over which the library panics.
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                   "vocab": { "aa": 0, "bb": 1 }, "merges": [["aa", "bb"]] },
    });
    assert!(matches!(build(&json), Err(TokenizerError::Damaged)));
}
