//! Files that do not fit their config are told so, with every tensor at once; what is left over is told
//! too.

mod common;

use std::collections::HashMap;

use backbone::{LoadError, registry};
use burn::tensor::Device;
use common::{embed, folder, golden, golden_layout, values};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};

type Tensor = (Dtype, Vec<usize>, Vec<u8>);

/// A tiny model's tensors by name.
fn tensors(model: &str) -> HashMap<String, Tensor> {
    let bytes = std::fs::read(folder(model).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
    file.tensors().into_iter().map(|(name, view)| (name, tensor(view))).collect()
}

/// A tensor of zeros.
fn zeros(shape: &[usize]) -> Tensor {
    (Dtype::F32, shape.to_vec(), vec![0; 4 * shape.iter().product::<usize>()])
}

/// A copy of a tiny model with these tensors, saved from this class.
fn saved(model: &str, tensors: &HashMap<String, Tensor>, class: Option<&str>) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(folder(model).join("config.json")).unwrap()).unwrap();
    config["architectures"] = class.map_or(Value::Null, |class| json!([class]));
    std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(folder(model).join(file), copy.path().join(file)).unwrap();
    }
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let path = copy.path().join("model.safetensors");
    serialize_to_file(views, None::<HashMap<String, String>>, &path).unwrap();
    copy
}

fn refused(folder: &tempfile::TempDir) -> String {
    match backbone::load(folder.path(), &Device::flex()) {
        Ok(_) => panic!("the folder was accepted"),
        Err(error) => error.to_string(),
    }
}

/// A masked family.
struct Masked {
    model: &'static str,
    /// What the names of the base model's tensors begin with.
    prefix: &'static str,
    /// What those of its head begin with.
    head: &'static [&'static str],
    /// A class without the head.
    class: &'static str,
    /// How an error calls the head.
    called: &'static str,
    /// The class with the head.
    needed: &'static str,
}

const MASKED: [Masked; 6] = [
    Masked {
        model: "tiny_albert",
        prefix: "albert.",
        head: &["predictions."],
        class: "AlbertModel",
        called: "predictions",
        needed: "AlbertForMaskedLM",
    },
    Masked {
        model: "tiny_bert",
        prefix: "bert.",
        head: &["cls."],
        class: "BertForSequenceClassification",
        called: "cls.predictions",
        needed: "BertForMaskedLM",
    },
    Masked {
        model: "tiny_distilbert",
        prefix: "distilbert.",
        head: &["vocab_"],
        class: "DistilBertModel",
        called: "vocab_transform",
        needed: "DistilBertForMaskedLM",
    },
    Masked {
        model: "tiny_electra",
        prefix: "electra.",
        head: &["generator_"],
        class: "ElectraForPreTraining",
        called: "generator_predictions.dense",
        needed: "ElectraForMaskedLM",
    },
    Masked {
        model: "tiny_modernbert",
        prefix: "model.",
        head: &["head.", "decoder."],
        class: "ModernBertModel",
        called: "head.dense",
        needed: "ModernBertForMaskedLM",
    },
    Masked {
        model: "tiny_roberta",
        prefix: "roberta.",
        head: &["lm_head."],
        class: "RobertaModel",
        called: "lm_head",
        needed: "RobertaForMaskedLM",
    },
];

#[test]
fn every_tensor_of_every_family_is_used() {
    for entry in std::fs::read_dir(folder("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("tiny_") || !path.join("tokenizer.json").is_file() {
            continue;
        }
        let (report, checked) = registry::tensors(&path).unwrap();
        checked.unwrap();
        assert!(report.fits(), "{report}");
        assert_eq!((&report.unused, &report.not_needed), (&vec![], &vec![]), "{name}");
        assert_eq!(report.applied.len(), report.total(), "{name}");
        assert_eq!(report.total(), tensors(&name).len(), "{name}");
        let loaded = backbone::load(&path, &Device::flex()).unwrap();
        assert_eq!(loaded.tensors, report, "{name}");
    }
}

#[test]
fn all_problems_are_in_one_error() {
    let mut all = tensors("tiny_llama");
    let renamed = all.remove("model.layers.0.mlp.up_proj.weight").unwrap();
    all.insert("model.layers.0.mlp.up_project.weight".to_owned(), renamed);
    all.remove("model.layers.1.input_layernorm.weight").unwrap();
    all.insert("model.norm.weight".to_owned(), zeros(&[25]));
    let copy = saved("tiny_llama", &all, Some("LlamaForCausalLM"));
    let error = refused(&copy);
    let (first, rest) = error.split_once('\n').unwrap();
    assert!(first.ends_with("model.safetensors: 3 tensors do not fit the config"), "{error}");
    assert_eq!(rest.lines().count(), 3, "{error}");
    let renamed = "no tensor 'model.layers.0.mlp.up_proj.weight', ";
    assert!(rest.contains(renamed), "{error}");
    assert!(rest.contains("; the nearest is 'model.layers.0.mlp.up_project.weight'"), "{error}");
    assert!(rest.contains("no tensor 'model.layers.1.input_layernorm.weight', [24]"), "{error}");
    let norm = "tensor 'model.norm.weight': expected shape [24] by the config, found [25]";
    assert!(rest.contains(norm), "{error}");

    all.retain(|name, _| !name.contains("layers.1."));
    let error = refused(&saved("tiny_llama", &all, None));
    assert_eq!(error.lines().count(), 1 + 8 + 1, "{error}");
    assert!(error.lines().last().unwrap().ends_with("more"), "{error}");
    let counted: usize = error.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!(error.ends_with(&format!("and {} more", counted - 8)), "{error}");

    // The same from headers alone, and for what only needs them.
    let copy = saved("tiny_llama", &all, None);
    let (report, checked) = registry::tensors(copy.path()).unwrap();
    assert!(matches!(checked, Err(LoadError::Tensors(told)) if *told == report));
    assert_eq!(report.missing.len() + report.misshapen.len(), counted);
    assert_eq!(report.unused, ["model.layers.0.mlp.up_project.weight"]);
    let options = backbone::Options::default();
    assert!(registry::footprint(copy.path(), &Device::flex(), options).is_err());
}

#[test]
fn a_masked_model_without_its_head_is_refused() {
    for Masked { model, prefix, head, class, called, needed } in MASKED {
        let mut all = tensors(model);
        let whole = all.len();
        all.retain(|name, _| !head.iter().any(|head| name.starts_with(head)));
        assert!(all.len() < whole, "{model}");
        let bare: HashMap<_, _> = all
            .iter()
            .map(|(name, tensor)| (name.strip_prefix(prefix).unwrap().to_owned(), tensor.clone()))
            .collect();
        // With the base model's prefix and without, as `save_pretrained` of the base model has it.
        for tensors in [&all, &bare] {
            let error = refused(&saved(model, tensors, Some(class)));
            let words = format!(
                "no masked-LM head ({called}…): it was saved from {class}; a prompt needs {needed}"
            );
            assert!(error.contains(&words) && error.contains("hint: "), "{error}");
            assert!(error.contains("model.safetensors"), "{error}");
        }
        let error = refused(&saved(model, &all, None));
        assert!(error.contains("it was saved without one; a prompt needs a class"), "{error}");
        let error = refused(&saved(model, &all, Some(needed)));
        assert!(error.contains(&format!("though its config says {needed}")), "{error}");
        // A part of it is no head either, but is told tensor by tensor.
        let mut part = tensors(model);
        let gone = part.keys().find(|name| head.iter().any(|head| name.starts_with(head)));
        let gone = gone.unwrap().clone();
        part.remove(&gone);
        let error = refused(&saved(model, &part, Some(needed)));
        assert!(error.contains(&format!("no tensor '{gone}'")), "{error}");
        assert!(error.contains("1 tensor does not fit the config"), "{error}");
    }
}

#[test]
fn a_causal_model_without_its_own_head_is_refused() {
    for (model, head, class, needed) in [
        ("tiny_qwen3", "lm_head", "Qwen3Model", "Qwen3ForCausalLM"),
        ("tiny_gpt_neox", "embed_out", "GPTNeoXModel", "GPTNeoXForCausalLM"),
    ] {
        let mut all = tensors(model);
        all.remove(&format!("{head}.weight")).unwrap();
        let error = refused(&saved(model, &all, Some(class)));
        let words = format!(
            "no language-model head ({head}…): it was saved from {class}; a prompt needs {needed}"
        );
        assert!(error.contains(&words), "{error}");
    }
}

#[test]
fn names_without_the_base_models_prefix_are_recognised() {
    for Masked { model, prefix, .. } in MASKED {
        let all = tensors(model).into_iter();
        let bare = all.map(|(name, tensor)| {
            (name.strip_prefix(prefix).map_or_else(|| name.clone(), str::to_owned), tensor)
        });
        let copy = saved(model, &bare.collect(), None);
        let [whole, bare] = [folder(model), copy.path().to_owned()].map(|path| {
            let backbone = backbone::load(&path, &Device::flex()).unwrap();
            let lm = backbone.model.as_ref();
            let x = embed(lm, &golden(model)["ids"]);
            values(lm.head(lm.encode(x.into(), &golden_layout(lm))))
        });
        assert_eq!(whole, bare, "{model}");
    }
}

#[test]
fn what_is_left_over_is_told_apart() {
    let mut all = tensors("tiny_bert");
    let embeddings = all["bert.embeddings.word_embeddings.weight"].clone();
    let vocab = embeddings.1[0];
    let not_needed = [
        "bert.embeddings.position_ids",
        "bert.pooler.dense.weight",
        "cls.predictions.decoder.bias",
        "cls.predictions.decoder.weight",
        "cls.seq_relationship.weight",
    ];
    for name in not_needed {
        all.insert(name.to_owned(), zeros(&[1, 12]));
    }
    all.insert("cls.predictions.decoder.weight".to_owned(), embeddings);
    all.insert("cls.predictions.decoder.bias".to_owned(), zeros(&[vocab]));
    all.insert("classifier.weight".to_owned(), zeros(&[3, 30]));
    let copy = saved("tiny_bert", &all, None);
    let (mut report, checked) = registry::tensors(copy.path()).unwrap();
    checked.unwrap();
    report.not_needed.sort();
    assert_eq!(report.not_needed, not_needed);
    assert_eq!(report.unused, ["classifier.weight"]);
    assert_eq!(report.total(), all.len());
    // A head of another shape than the embeddings is no copy of them.
    all.insert("cls.predictions.decoder.weight".to_owned(), zeros(&[vocab, 7]));
    let (report, _) = registry::tensors(saved("tiny_bert", &all, None).path()).unwrap();
    assert!(report.unused.contains(&"cls.predictions.decoder.weight".to_owned()), "{report:?}");
}
