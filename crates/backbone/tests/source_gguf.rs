//! GGUF files: every storage type against the gguf package, a tiny Llama against its Hugging Face
//! form, and headers that lie.
//!
//! Golden files: `scripts/reference/gguf_blocks.py`.

use std::fs;
use std::path::{Path, PathBuf};

use backbone::source::gguf::{GgufError, GgufProblem, Header};
use backbone::source::{self, Dtype, SourceError};
use ptuning_core::language_model::Tokenize;
use safetensors::SafeTensors;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf").join(name)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// A GGUF whose only tensor is of the type under test, made into a Llama's embedding table so that
/// `open` accepts it: metadata is taken from tiny.gguf, tensor and data from the golden file.
fn as_llama(name: &str) -> (tempfile::TempDir, PathBuf) {
    let (tiny, blocks) = (fs::read(golden("tiny.gguf")).unwrap(), fs::read(golden(name)).unwrap());
    let (head, one) = (Header::parse(&tiny).unwrap(), Header::parse(&blocks).unwrap());
    let entries_end = find(&tiny, b"\x11\0\0\0\0\0\0\0token_embd.weight");
    // Its architecture is called that as well.
    let needle = b"\x06\0\0\0\0\0\0\0blocks";
    let info_start = blocks.windows(needle.len()).rposition(|window| window == needle).unwrap();
    let mut file = tiny[..entries_end].to_vec();
    file[8..16].copy_from_slice(&1_u64.to_le_bytes());
    file.extend_from_slice(&blocks[info_start..info_start + 8 + 6 + 4 + 16 + 4 + 8]);
    file.resize(file.len().next_multiple_of(32), 0);
    let tensor = &one.tensors[0];
    file.extend_from_slice(&blocks[tensor.start..tensor.start + tensor.size]);
    assert_eq!(head.data_start % 32, 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, file).unwrap();
    (folder, path)
}

fn find(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|window| window == needle).unwrap()
}

#[test]
fn every_storage_type_is_read_bit_for_bit_as_the_gguf_package_does() {
    for dtype in Dtype::ALL {
        let (_folder, path) = as_llama(&format!("{dtype}.gguf"));
        let weights = source::open(&path).unwrap().weights;
        assert_eq!(weights.names(), ["blocks"]);
        assert_eq!(weights.dtype("blocks"), Some(dtype));
        assert_eq!(weights.shape("blocks"), Some(vec![3, 256]));
        let expected = floats(&fs::read(golden(&format!("{dtype}.f32"))).unwrap());
        let found = weights.read_vec("blocks").unwrap();
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{dtype}, number {index}");
        }
    }
}

#[test]
fn a_llama_comes_out_as_hugging_face_has_it() {
    let source = source::open(&golden("tiny.gguf")).unwrap();
    let bytes = fs::read(golden("tiny.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(expected.len(), 10);
    for (name, view) in expected.iter() {
        assert_eq!(source.weights.shape(name).as_deref(), Some(view.shape()), "{name}");
        assert_eq!(source.weights.read_vec(name).unwrap(), floats(view.data()), "{name}");
    }
    assert_eq!(source.weights.names().len(), 2 + 2 * 9);

    let config = serde_json::Value::Object(source.config);
    let expected = serde_json::json!({
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 267,
        "rms_norm_eps": f64::from(1e-5_f32), "rope_theta": 100000.0, "hidden_act": "silu",
        "max_position_embeddings": 128, "tie_word_embeddings": true, "attention_bias": false,
        "mlp_bias": false, "bos_token_id": 1, "eos_token_id": 2, "unk_token_id": 0,
        "pad_token_id": 2,
    });
    assert_eq!(config, expected);

    assert_eq!(source.identity.family, "llama");
    assert_eq!(source.identity.file, Path::new("tiny.gguf"));
    assert_eq!(source.identity.sha256.len(), 64);
}

#[test]
fn its_tokenizer_knows_merges_and_special_tokens() {
    let tokenizer = source::open(&golden("tiny.gguf")).unwrap().tokenizer;
    let stored = |text: &str| -> Vec<String> {
        tokenizer.ids(text).into_iter().map(|id| tokenizer.token(id).unwrap()).collect()
    };
    assert_eq!(stored("a capital"), ["a", "Ġcapital"]);
    assert_eq!(stored("a<|im_end|> cap"), ["a", "<|im_end|>", "Ġcap"]);
    assert_eq!(stored("<think>it"), ["<think>", "it"]);
    assert_eq!(tokenizer.special().pad, Some(2));
    assert!(tokenizer.special().prefix.is_empty() && tokenizer.special().suffix.is_empty());
    assert_eq!(tokenizer.vocab_size(), 267);
    assert_eq!(tokenizer.decode(&tokenizer.ids("é <|im_start|>☃")), "é <|im_start|>☃");
}

#[test]
fn the_identity_is_of_the_header_alone() {
    let folder = tempfile::tempdir().unwrap();
    let original = fs::read(golden("tiny.gguf")).unwrap();
    let identity = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        source::open(&path).unwrap().identity
    };
    let first = identity("a.gguf", &original);
    let mut weights_changed = original.clone();
    *weights_changed.last_mut().unwrap() ^= 1;
    assert!(first.is_same(&identity("b.gguf", &weights_changed)));
    let mut header_changed = original.clone();
    let at = find(&original, b"llama.context_length") + b"llama.context_length".len() + 4;
    header_changed[at] ^= 1;
    assert!(!first.is_same(&identity("c.gguf", &header_changed)));
}

#[test]
fn a_missing_tensor_and_a_wrong_buffer_are_named() {
    let weights = source::open(&golden("tiny.gguf")).unwrap().weights;
    let error = weights.read_vec("model.layers.1.self_attn.q_pro.weight").unwrap_err();
    assert!(matches!(&error, SourceError::MissingTensor { nearest: Some(nearest), .. }
        if nearest == "model.layers.1.self_attn.q_proj.weight"));
    assert!(error.to_string().contains("tiny.gguf"), "{error}");
    let error = weights.read_f32("model.norm.weight", &mut [0.0; 31]).unwrap_err();
    assert!(matches!(error, SourceError::WrongLength { expected: 32, found: 31, .. }));
}

// Headers that lie.

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = fs::read(golden("tiny.gguf")).unwrap();
    for length in 0..whole.len() {
        let error = Header::parse(&whole[..length]).expect_err("a cut file is not whole");
        assert!(error.offset <= length, "cut at {length}: {error}");
    }
    assert!(Header::parse(&whole).is_ok());
}

#[test]
fn a_flipped_byte_never_panics() {
    let whole = fs::read(golden("Q4_K.gguf")).unwrap();
    let mut refused = 0;
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            refused += usize::from(Header::parse(&bytes).is_err());
        }
    }
    assert!(refused > 100, "only {refused} flips were noticed");
}

/// The same for everything that is made of a header: configuration, tokenizer, tensors.
#[test]
fn a_flipped_byte_never_panics_beyond_the_header_either() {
    let whole = fs::read(golden("tiny.gguf")).unwrap();
    let end = Header::parse(&whole).unwrap().data_start;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.gguf");
    let (mut opened, mut refused) = (0, 0);
    for at in (0..end).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, bytes).unwrap();
        match source::open(&path) {
            Err(error) => {
                assert!(error.to_string().contains("flipped.gguf"), "{error}");
                refused += 1;
            }
            Ok(source) => {
                opened += 1;
                source.tokenizer.encode("The capital of Côte d'Ivoire <|im_end|>");
                for name in source.weights.names() {
                    let _ = source.weights.read_vec(&name);
                }
            }
        }
    }
    assert!(opened > 100 && refused > 100, "{opened} opened, {refused} refused");
}

/// Writes headers by hand.
struct Writer(Vec<u8>);

impl Writer {
    fn new(version: u32, tensors: u64, entries: u64) -> Self {
        let mut writer = Self(b"GGUF".to_vec());
        writer.u32(version).u64(tensors).u64(entries);
        writer
    }
    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }
    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }
    fn text(&mut self, text: &[u8]) -> &mut Self {
        self.u64(text.len() as u64).0.extend(text);
        self
    }
    fn tensor(&mut self, name: &[u8], shape: &[u64], kind: u32, offset: u64) -> &mut Self {
        self.text(name).u32(shape.len() as u32);
        shape.iter().for_each(|&size| {
            self.u64(size);
        });
        self.u32(kind).u64(offset)
    }
    fn data(&mut self, bytes: usize) -> &mut Self {
        let start = self.0.len().next_multiple_of(32);
        self.0.resize(start + bytes, 0);
        self
    }
    fn fault(&self) -> GgufError {
        Header::parse(&self.0).unwrap_err()
    }
}

#[test]
fn headers_that_lie_are_refused_with_the_byte() {
    let mut not_gguf = Writer::new(3, 0, 0);
    not_gguf.0[0] = b'X';
    assert_eq!(
        not_gguf.fault(),
        GgufError { offset: 0, problem: GgufProblem::Magic { found: *b"XGUF" } }
    );
    assert_eq!(Writer::new(1, 0, 0).fault().problem, GgufProblem::Version { found: 1 });
    assert_eq!(Writer::new(4, 0, 0).fault().offset, 4);
    assert_eq!(Writer::new(3_u32.swap_bytes(), 0, 0).fault().problem, GgufProblem::BigEndian);

    // Counts that the file cannot hold, up to the largest there is.
    for count in [1, 1 << 40, u64::MAX] {
        let fault = Writer::new(3, count, 0).fault();
        assert!(matches!(fault.problem, GgufProblem::Count { what: "tensors", .. }), "{fault}");
        assert_eq!(fault.offset, 8);
        let fault = Writer::new(3, 0, count).fault();
        assert!(matches!(fault.problem, GgufProblem::Count { what: "metadata entries", .. }));
        assert_eq!(fault.offset, 16);
        // An array of strings, numbers, booleans.
        for kind in [8, 12, 7] {
            let mut file = Writer::new(3, 0, 1);
            file.text(b"k").u32(9).u32(kind).u64(count);
            let fault = file.fault();
            assert!(matches!(fault.problem, GgufProblem::Count { what: "array elements", .. }));
            assert_eq!(fault.offset, 24 + 9 + 8);
        }
    }
    let mut long_key = Writer::new(3, 0, 1);
    long_key.u64(u64::MAX).u64(0);
    assert!(matches!(long_key.fault().problem, GgufProblem::Truncated { wanted: u64::MAX, .. }));

    let entry = |write: &dyn Fn(&mut Writer)| {
        let mut file = Writer::new(3, 0, 1);
        file.text(b"key");
        write(&mut file);
        file.data(32);
        file.fault().problem
    };
    assert_eq!(
        entry(&|file| {
            file.u32(9).u32(9).u64(1).u32(4).u64(0);
        }),
        GgufProblem::NestedArray { key: "key".into() }
    );
    assert_eq!(
        entry(&|file| {
            file.u32(13);
        }),
        GgufProblem::ValueType { key: "key".into(), found: 13 }
    );
    assert_eq!(
        entry(&|file| {
            file.u32(7).u32(2);
        }),
        GgufProblem::Boolean { key: "key".into(), found: 2 }
    );
    assert_eq!(
        entry(&|file| {
            file.u32(8).text(b"\xff\xfe");
        }),
        GgufProblem::NotUtf8 { what: "a string value" }
    );
    let mut twice = Writer::new(3, 0, 2);
    twice.text(b"k").u32(4).u32(1).text(b"k").u32(4).u32(1);
    assert_eq!(twice.fault().problem, GgufProblem::DuplicateKey { key: "k".into() });
    for alignment in [0, 3, 48] {
        let mut file = Writer::new(3, 0, 1);
        file.text(b"general.alignment").u32(4).u32(alignment);
        assert_eq!(file.fault().problem, GgufProblem::Alignment { found: alignment.to_string() });
    }
}

#[test]
fn tensors_that_lie_are_refused() {
    let one = |shape: &[u64], kind: u32, offset: u64, data: usize| {
        let mut file = Writer::new(3, 1, 0);
        file.tensor(b"t", shape, kind, offset).data(data);
        Header::parse(&file.0).map(|header| header.tensors[0].shape.clone())
    };
    assert_eq!(one(&[8, 4], 0, 0, 128).unwrap(), [4, 8]);
    let problem = |shape: &[u64], kind: u32, offset: u64, data: usize| {
        let fault = one(shape, kind, offset, data).unwrap_err();
        assert!(fault.offset >= 24, "{fault}");
        fault.problem
    };
    let impossible =
        |found: GgufProblem| assert!(matches!(found, GgufProblem::Shape { .. }), "{found}");
    impossible(problem(&[8, 0], 0, 0, 128));
    impossible(problem(&[1 << 40, 1 << 40], 0, 0, 128));
    impossible(problem(&[1 << 62, 1], 0, 0, 128));
    assert!(matches!(problem(&[1; 5], 0, 0, 128), GgufProblem::Dimensions { found: 5, .. }));
    assert!(matches!(problem(&[], 0, 0, 128), GgufProblem::Dimensions { found: 0, .. }));
    // IQ4_NL, a removed type, an unknown one.
    for kind in [20, 4, 4096] {
        assert!(
            matches!(problem(&[32], kind, 0, 128), GgufProblem::TensorType { found, .. } if found == kind)
        );
    }
    assert!(matches!(problem(&[33], 2, 0, 128), GgufProblem::Blocks { row: 33, .. }));
    assert!(matches!(problem(&[16, 2], 2, 0, 128), GgufProblem::Blocks { row: 16, .. }));
    assert!(matches!(problem(&[8], 0, 8, 128), GgufProblem::Unaligned { offset: 8, .. }));
    for (offset, data) in [(0, 31), (32, 32), (u64::MAX - 31, 32)] {
        assert!(matches!(problem(&[8], 0, offset, data), GgufProblem::OutOfRange { .. }));
    }

    let two = |second: &[u8], offset: u64| {
        let mut file = Writer::new(3, 2, 0);
        file.tensor(b"a", &[16], 0, 0).tensor(second, &[16], 0, offset).data(128);
        file.fault().problem
    };
    assert_eq!(two(b"a", 64), GgufProblem::DuplicateTensor { name: "a".into() });
    assert_eq!(two(b"b", 32), GgufProblem::Overlap { first: "a".into(), second: "b".into() });
}

#[test]
fn what_llama_cpp_knows_and_this_crate_does_not_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let whole = fs::read(golden("tiny.gguf")).unwrap();
    let replaced = |from: &[u8], to: &[u8]| {
        assert_eq!(from.len(), to.len());
        let mut bytes = whole.clone();
        let at = find(&whole, from);
        bytes[at..at + to.len()].copy_from_slice(to);
        fs::write(&path, bytes).unwrap();
        let error = source::open(&path).err().unwrap();
        let chain: Vec<String> =
            std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
                .map(ToString::to_string)
                .collect();
        chain.join(": ")
    };
    let error = replaced(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0llamo");
    assert!(
        error.contains("unknown \"llamo\"; known: llama") && error.contains("did you mean llama?"),
        "{error}"
    );
    let error = replaced(b"llama.attention.head_count\x04", b"llama.attention.head_coun_\x04");
    assert!(error.contains("metadata has no llama.attention.head_count"), "{error}");
    let error = replaced(b"smollm", b"smollo");
    assert!(
        error.contains("tokenizer.ggml.pre: unknown \"smollo\"")
            && error.contains("did you mean smollm?"),
        "{error}"
    );
    let error = replaced("Ġ c".as_bytes(), "Ġ_c".as_bytes());
    assert!(error.contains("tokenizer.ggml.merges[0]: \"Ġ_c\""), "{error}");
}
