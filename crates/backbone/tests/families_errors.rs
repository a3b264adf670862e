//! Configs that contradict their weights are told so, by name.

mod common;

use backbone::{Options, Precision};
use burn::tensor::Device;
use common::folder;
use serde_json::{Value, json};

/// Loads a copy of a tiny model whose config has one key changed.
fn load_with(model: &str, key: &str, value: Value) -> String {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder(model)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let file = copy.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config[key] = value;
    std::fs::write(&file, config.to_string()).unwrap();
    match backbone::load(copy.path(), &Device::flex()) {
        Ok(_) => panic!("{key} was accepted"),
        Err(error) => error.to_string(),
    }
}

/// Each change is refused with these words, and with the file that has to be looked at.
fn check(model: &str, cases: &[(&str, Value, &str)]) {
    for (key, value, expected) in cases {
        let error = load_with(model, key, value.clone());
        assert!(error.contains(expected), "{key}: {error}");
        let file = if error.contains("tensor '") || error.contains("head (") {
            "model.safetensors"
        } else {
            "config.json"
        };
        assert!(error.contains(file), "{key}: {error}");
    }
}

#[test]
fn contradictions_are_named() {
    let cases = [
        ("model_type", json!("lama"), "the nearest is 'llama'"),
        ("model_type", json!(7), "model_type should be a string"),
        ("hidden_size", json!(25), "expected shape [97, 25]"),
        ("hidden_size", json!(-3), "config key 'hidden_size': expected a whole number"),
        ("vocab_size", json!(4_000_000_000u64), "expected shape [4000000000, 24]"),
        ("num_attention_heads", json!(3), "do not share"),
        ("num_hidden_layers", json!(99), "no tensor 'model.layers."),
        ("intermediate_size", json!(null), "found nothing"),
        ("hidden_act", json!("gelu"), "supports config key 'hidden_act' only as \"silu\""),
        ("attention_bias", json!(true), "supports config key 'attention_bias'"),
        ("rope_scaling", json!({"rope_type": "llama3"}), "supports config key 'rope_scaling'"),
        ("rms_norm_eps", json!("small"), "expected a positive number"),
        ("head_dim", json!(7), "even head_dim"),
    ];
    check("tiny_llama", &cases);
    let cases = [
        ("num_attention_heads", json!(7), "7 heads do not divide a width of 30"),
        ("position_embedding_type", json!("relative_key"), "only as \"absolute\""),
        ("is_decoder", json!(true), "supports config key 'is_decoder' only as false"),
        ("hidden_act", json!("tanh"), "\"gelu\" or \"gelu_new\""),
        ("max_position_embeddings", json!(13), "expected shape [13, 30]"),
        ("type_vocab_size", json!(3), "expected shape [3, 30]"),
        ("tie_word_embeddings", json!(false), "no tensor 'cls.predictions.decoder.weight'"),
    ];
    check("tiny_bert", &cases);
    let cases = [
        ("feed_forward_proj", json!("gated-relu"), "only as \"relu\" or \"gated-gelu\""),
        ("feed_forward_proj", json!("gated-gelu"), "layer.1.DenseReluDense.wi_"),
        ("is_encoder_decoder", json!(false), "'is_encoder_decoder' only as true, found false"),
        ("d_kv", json!(4), "expected shape [20, 22]"),
        ("num_decoder_layers", json!(5), "no tensor 'decoder.block."),
        ("relative_attention_num_buckets", json!(9), "expected shape [9, 5]"),
        (
            "relative_attention_num_buckets",
            json!(3),
            "num_buckets 3 and relative_attention_max_distance 6",
        ),
        ("relative_attention_max_distance", json!(4), "tell no distances apart"),
        ("decoder_start_token_id", json!(97), "token 97, which the decoder begins with"),
        ("tie_word_embeddings", json!(false), "no language-model head (lm_head…)"),
        ("model_type", json!("t6"), "the nearest is 't5'"),
    ];
    check("tiny_t5", &cases);
}

#[test]
fn a_t5_without_sentinels_is_refused() {
    let copy = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(folder("tiny_t5").join(file), copy.path().join(file)).unwrap();
    }
    let other = folder("tiny_llama").join("tokenizer.json");
    std::fs::copy(other, copy.path().join("tokenizer.json")).unwrap();
    let Err(error) = backbone::load(copy.path(), &Device::flex()) else { panic!("no sentinel") };
    let error = error.to_string();
    assert!(error.contains("no sentinel '<extra_id_0>'") && error.contains("hint:"), "{error}");
}

#[test]
fn numbers_that_a_device_has_no_use_for_are_refused() {
    let options = Options { precision: Precision::Bf16, ..Options::default() };
    let Err(error) = backbone::load_with(&folder("tiny_llama"), &Device::flex(), options) else {
        panic!("bf16 on the CPU's kernels");
    };
    let error = error.to_string();
    assert!(error.contains("backbone.dtype = \"bf16\"") && error.contains("hint:"), "{error}");
}
