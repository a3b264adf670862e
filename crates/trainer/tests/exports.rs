//! Exports to PEFT and their cards. That the real PEFT computes the same with them is the gate's to check.

mod common;

use std::path::{Path, PathBuf};

use backbone::Backbone;
use burn::tensor::{Device, TensorData};
use common::batch::golden_folder;
use common::{folder, run_dir, settings, tiny_llama};
use ptuning_core::template::{Encoded, Fields, Row};
use serde_json::Value;
use tempfile::TempDir;
use trainer::checkpoint::{Checkpoint, read_tensors, write_tensors};
use trainer::evaluate::evaluate;
use trainer::export::{Card, ExportError, Form, PeftExport, PeftType, export_peft};
use trainer::predict::logits;
use trainer::prompt::Prompt;
use trainer::run_dir::RunDir;
use trainer::settings::Split;
use trainer::task::Task;
use trainer::train_loop::TrainLoop;
use trainer::{Error, Interrupter};

const INSIDE: &str = "[h:2] capital of [x] [h:2] [z]";

/// A run of one epoch, with the folder that holds it.
struct Ran {
    folder: TempDir,
    task: Task,
    run: RunDir,
    checkpoint: Checkpoint,
    prompt: Prompt,
}

impl Ran {
    fn new(backbone: &Path, template: &str, overrides: &[&str]) -> Self {
        let folder = folder();
        let template = format!("template.text={template:?}");
        let overrides = [&["train.epochs=1", template.as_str()], overrides].concat();
        let loaded = backbone::load(backbone, &Device::flex()).unwrap();
        let task = Task::load(settings(&folder, &overrides), loaded).unwrap();
        let run = run_dir(&task);
        TrainLoop::new(&task).unwrap().run(&run, &Interrupter::new(), &mut ()).unwrap();
        let checkpoint = Checkpoint::load(&run.best()).unwrap();
        let prompt = Prompt::from_checkpoint(&checkpoint, &run.best(), &task.backbone).unwrap();
        Self { folder, task, run, checkpoint, prompt }
    }

    fn card(&self) -> Card {
        let command = "ptune train --config config.toml".to_owned();
        Card::of(&self.run, &self.task.settings, &self.task.backbone, command).unwrap()
    }

    fn export(&self, kind: Option<PeftType>) -> Result<PeftExport, Error> {
        let Self { prompt, checkpoint, .. } = self;
        export_peft(&self.out(), kind, prompt, checkpoint, &self.task.backbone, &self.card())
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("peft")
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.out().join(name)).unwrap()).unwrap()
    }

    fn tensor(&self, file: &str, name: &str) -> TensorData {
        let (mut tensors, _) = read_tensors(&self.out().join(file)).unwrap();
        let names: Vec<String> = tensors.keys().cloned().collect();
        tensors.remove(name).unwrap_or_else(|| panic!("no {name} among {names:?}"))
    }

    fn vectors(&self) -> TensorData {
        self.prompt.vectors.clone().unwrap().into_data()
    }
}

/// A tiny model whose tokenizer has set these four tokens aside.
fn with_unused(model: &str, tokens: [&str; 4]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = golden_folder(model);
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    let text = std::fs::read(from.join("tokenizer.json")).unwrap();
    let mut tokenizer: Value = serde_json::from_slice(&text).unwrap();
    let words = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    for (number, token) in tokens.iter().enumerate() {
        let id = words.remove(*token).unwrap();
        words.insert(format!("[unused{number}]"), id);
    }
    if let Some(merges) = tokenizer["model"]["merges"].as_array_mut() {
        let makes = |merge: &Value| -> String {
            merge.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect()
        };
        merges.retain(|merge| !tokens.contains(&makes(merge).as_str()));
    }
    let text = serde_json::to_string(&tokenizer).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), text).unwrap();
    folder
}

/// The backbone with the exported rows in its table, as PEFT puts them there.
fn merged(ran: &Ran, backbone: &Path) -> (Backbone, String) {
    let config = ran.json("adapter_config.json");
    let module = config["target_modules"].as_str().unwrap();
    let weight = format!("base_model.model.{module}.trainable_tokens_delta");
    let rows = ran.tensor("adapter_model.safetensors", &weight);
    let (mut tensors, metadata) = read_tensors(&backbone.join("model.safetensors")).unwrap();
    let name = format!("{module}.weight");
    let table = tensors.remove(&name).unwrap();
    let (shape, width) = (table.shape().to_vec(), table.shape()[1]);
    let mut numbers: Vec<f32> = table.iter().collect();
    let rows: Vec<f32> = rows.iter().collect();
    for (row, id) in rows.chunks(width).zip(config["token_indices"].as_array().unwrap()) {
        let at = id.as_u64().unwrap() as usize * width;
        numbers[at..at + width].copy_from_slice(row);
    }
    tensors.insert(name, TensorData::new(numbers, shape));
    let folder = ran.folder.path().join("merged");
    std::fs::create_dir(&folder).unwrap();
    for file in ["config.json", "tokenizer.json"] {
        std::fs::copy(backbone.join(file), folder.join(file)).unwrap();
    }
    write_tensors(&folder.join("model.safetensors"), &tensors, metadata).unwrap();
    (backbone::load(&folder, &Device::flex()).unwrap(), module.to_owned())
}

#[test]
fn virtual_tokens_anywhere_become_rows_of_the_vocabulary() {
    let words = ["Britain", "Egypt", "Italy", "Norw"];
    for (model, tokens, module) in [
        ("tiny_llama", words, "model.embed_tokens"),
        // Multiplies what it looks up.
        ("tiny_gemma3_text", words, "model.embed_tokens"),
        // A head of its own.
        ("tiny_gpt_neox", words, "gpt_neox.embed_in"),
        ("tiny_bert", ["norw", "egypt", "britain", "france"], "bert.embeddings.word_embeddings"),
    ] {
        let backbone = with_unused(model, tokens);
        let ran = Ran::new(backbone.path(), INSIDE, &[]);
        let export = ran.export(None).unwrap();
        assert_eq!(export.kind, PeftType::TrainableTokens, "{model}");
        let mapping = ran.json("virtual_tokens.json");
        for (number, &id) in export.ids.iter().enumerate() {
            let listed = &mapping["virtual_tokens"][format!("h_{number}")];
            assert_eq!(listed["id"], id, "{model}");
            assert!(listed["token"].as_str().unwrap().starts_with("[unused"), "{mapping}");
        }
        let (merged, found) = merged(&ran, backbone.path());
        assert_eq!(found, module);

        let fields = Fields::from([("x".to_owned(), "France".to_owned())]);
        let encoded = ran.prompt.template.encode(&fields, &ran.task.backbone.tokenizer).unwrap();
        let id = |row| match row {
            Row::Token(id) => id,
            Row::Virtual(index) => export.ids[index],
        };
        let ids: Vec<u32> = encoded.rows().map(id).collect();
        let plain = Encoded { ids: ids.clone(), slots: Vec::new(), ..encoded.clone() };
        let words = Prompt { vectors: None, ..ran.prompt.clone() };
        let expected = &logits(&ran.task.backbone, &ran.prompt, &[&encoded])[0];
        let found = &logits(&merged, &words, &[&plain])[0];
        for (id, (a, b)) in expected.iter().zip(found).enumerate() {
            // A tied head scores the rows themselves otherwise.
            if !export.ids.contains(&(id as u32)) {
                assert!((a - b).abs() < 1e-4, "{model}, word {id}: {a} and {b}");
            }
        }
        // The parts for other programs make the same sequence.
        let parts = mapping["parts"].as_array().unwrap().iter();
        let part = |part: &Value| -> Vec<u32> {
            use ptuning_core::language_model::Tokenize;
            match part {
                Value::String(text) => {
                    ran.task.backbone.tokenizer.ids(&text.replace("{x}", "France"))
                }
                ids => {
                    ids.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
                }
            }
        };
        assert_eq!(parts.flat_map(part).collect::<Vec<_>>(), ids, "{model}");
    }
}

#[test]
fn without_free_rows_there_is_no_place_for_virtual_tokens() {
    let ran = Ran::new(&tiny_llama(), INSIDE, &[]);
    let error = ran.export(None).unwrap_err();
    let expected = ExportError::TooFewRows { expected: 4, found: 0 };
    assert!(matches!(&error, Error::Export(found) if *found == expected), "{error}");
    assert!(!ran.out().exists());
    for kind in [PeftType::PromptTuning, PeftType::PTuning, PeftType::PrefixTuning] {
        let error = ran.export(Some(kind)).unwrap_err();
        assert!(matches!(error, Error::Export(ExportError::PeftType { .. })), "{error}");
    }
}

#[test]
fn leading_virtual_tokens_are_prepended() {
    // Tied ones have a row for each place.
    let ran = Ran::new(&tiny_llama(), "[h:2@a] [h:1] [h:2@a] capital of [x] is [z]", &[]);
    assert_eq!(ran.export(None).unwrap().kind, PeftType::PromptTuning);
    let config = ran.json("adapter_config.json");
    assert_eq!(config["num_virtual_tokens"], 5);
    assert_eq!(config["token_dim"], 24);
    assert_eq!(config["peft_type"], "PROMPT_TUNING");
    let error = ran.export(Some(PeftType::PTuning)).unwrap_err();
    assert!(error.to_string().contains("tied virtual tokens"), "{error}");
}

#[test]
fn p_tuning_has_the_encoder_beside_the_vectors() {
    let template = "[h:3] capital of [x] is [z]";
    let weights = "adapter_model.safetensors";
    let encoder = "prompt_encoder.safetensors";

    let ran = Ran::new(&tiny_llama(), template, &["prompt_encoder.hidden=10"]);
    ran.export(Some(PeftType::PTuning)).unwrap();
    let config = ran.json("adapter_config.json");
    assert_eq!(config["encoder_reparameterization_type"], "LSTM");
    assert_eq!(config["encoder_hidden_size"], 5);
    assert_eq!(ran.tensor(weights, "prompt_embeddings"), ran.vectors());
    let own = &ran.checkpoint.encoder;
    for (peft, name) in [
        ("lstm_head.weight_hh_l1_reverse", "lstm.layers.1.backward.weight_hh"),
        ("lstm_head.bias_ih_l0", "lstm.layers.0.forward.bias_ih"),
        ("mlp_head.2.weight", "mlp.second.weight"),
        ("embedding.weight", "embedding"),
    ] {
        assert_eq!(ran.tensor(encoder, peft), own[name], "{peft}");
    }
    assert_eq!(read_tensors(&ran.out().join(encoder)).unwrap().0.len(), 16 + 4 + 1);
    // Another kind leaves nothing of this one behind.
    ran.export(None).unwrap();
    assert!(!ran.out().join(encoder).exists());

    let ran = Ran::new(
        &tiny_llama(),
        template,
        &["prompt_encoder.kind=\"mlp\"", "prompt_encoder.hidden=3"],
    );
    ran.export(Some(PeftType::PTuning)).unwrap();
    let identity = ran.tensor(encoder, "mlp_head.2.weight");
    assert_eq!(identity.iter::<f32>().collect::<Vec<_>>(), [1., 0., 0., 0., 1., 0., 0., 0., 1.]);
    assert_eq!(ran.tensor(encoder, "mlp_head.4.bias"), ran.checkpoint.encoder["mlp.second.bias"]);

    let ran = Ran::new(&tiny_llama(), template, &["prompt_encoder.kind=\"direct\""]);
    let error = ran.export(Some(PeftType::PTuning)).unwrap_err();
    assert!(error.to_string().contains("without an encoder"), "{error}");
}

#[test]
fn a_card_says_what_an_export_is() {
    let ran = Ran::new(&tiny_llama(), "[h:3] capital of [x] is [z]", &[]);
    ran.export(None).unwrap();
    let readme = || std::fs::read_to_string(ran.out().join("README.md")).unwrap();
    assert!(readme().contains("has not been judged"), "{}", readme());
    assert!(!readme().contains("model-index"), "{}", readme());

    let evaluation = evaluate(&ran.task, Some(&ran.prompt), Split::Test).unwrap();
    let p1 = evaluation.prompt.unwrap().precision_at_1;
    ran.run.write_evaluation(&[evaluation]).unwrap();
    ran.export(None).unwrap();
    let text = readme();
    let (front, body) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    for line in [
        "library_name: peft",
        "pipeline_tag: text-generation",
        "- name: \"tiny\"",
        "      split: test",
        "      name: \"P@1\"",
        &format!("      value: {p1}"),
    ] {
        assert!(front.lines().any(|found| found == line), "{line}: {front}");
    }
    for part in [
        "`[h:3] capital of [x] is [z]`",
        &ran.task.backbone.identity.sha256,
        "| Learned vectors | 3, of 24 numbers |",
        &format!("| this prompt | {:.1} |", 100.0 * p1),
        "by hand: `The capital of [x] is [z]`",
        "    ptune train --config config.toml",
        "\" capital of {x} is\".format(x=…)",
        "lr = 0.01",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    let form = Form { library: "ptune", what: "in a file", usage: "Here.\n".to_owned() };
    let own = ran.card().text(&ran.prompt, &ran.task.backbone, &form).unwrap();
    assert!(own.contains("library_name: ptune") && own.contains("## Use\n\nHere.\n"), "{own}");
}
