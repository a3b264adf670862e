//! Export to PEFT's formats PROMPT_TUNING and PREFIX_TUNING: a folder that `PeftModel.from_pretrained`
//! loads.
//!
//! PEFT prepends its virtual tokens, or a prefix, to whatever it is given, so only a template whose virtual
//! tokens all come first can be exported. The text after them has to be given to the tokenizer exactly as
//! ptune does, leading space included; `README.md` in the export shows how.

use std::collections::BTreeMap;
use std::path::Path;

use backbone::Backbone;
use burn::tensor::Tensor;
use ptuning_core::language_model::{Objective, Tokenize};
use ptuning_core::objective::ids;
use ptuning_core::template::SegmentKind;
use serde_json::json;

use super::prompt_file::largest_difference;
use crate::checkpoint::{CheckpointError, atomically, read_tensors, write_tensors};
use crate::error::Error;
use crate::prompt::Prompt;
use crate::prompt_error::PromptError;

/// Version of PEFT whose format this is.
const PEFT_VERSION: &str = "0.21.2";

/// Writes `adapter_config.json`, `adapter_model.safetensors` and `README.md` into a new folder, reads
/// the vectors back and compares them.
///
/// # Errors
/// A template that PEFT cannot hold, a folder that cannot be written.
pub fn export_peft(
    folder: &Path,
    prompt: &Prompt,
    backbone: &Backbone,
    backbone_source: &str,
) -> Result<(), Error> {
    if prompt.lm.is_some() {
        return Err(Error::LmLearned);
    }
    let template = prompt.template.template();
    let vectors = prompt.vectors.clone().ok_or(Error::NothingToLearn)?;
    let prefix = backbone.model.prefix_shape().filter(|_| template.prefix() > 0);
    if prefix.is_some() && backbone.model.objective() == Objective::Masked {
        return Err(PromptError::MaskedPrefix.into());
    }
    if !template.is_prefix_only() {
        return Err(Error::NotAPrefix { template: template.source().to_owned() });
    }
    let opens = !backbone.tokenizer.special().prefix.is_empty();
    if prefix.is_none() && opens {
        return Err(Error::SpecialTokenFirst);
    }
    // Tied virtual tokens stand several times: PEFT has a row for each place.
    let rows = match prefix {
        Some(_) => (0..template.prefix() as u32).collect(),
        None => prompt.template.prefix_virtual_tokens(),
    };
    let vectors: Tensor<2> = vectors.clone().select(0, ids(&rows, &vectors.device()));
    let data = vectors.into_data();
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "created"))?;

    let weights = folder.join("adapter_model.safetensors");
    let tensors = BTreeMap::from([("prompt_embeddings".to_owned(), data.clone())]);
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write_tensors(&weights, &tensors, metadata)?;
    let mut config = json!({
        "auto_mapping": null,
        "base_model_name_or_path": backbone_source,
        "inference_mode": true,
        "modules_to_save": null,
        "num_attention_heads": null,
        "num_layers": null,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": rows.len(),
        "peft_version": PEFT_VERSION,
        "revision": null,
        "task_type": "CAUSAL_LM",
    });
    let own = match prefix {
        Some(shape) => json!({
            "encoder_hidden_size": shape.heads * shape.head_dim,
            "num_attention_heads": shape.heads,
            "num_layers": shape.layers,
            "peft_type": "PREFIX_TUNING",
            "prefix_projection": false,
            "token_dim": shape.heads * shape.head_dim,
        }),
        None => json!({
            "peft_type": "PROMPT_TUNING",
            "prompt_tuning_init": "RANDOM",
            "prompt_tuning_init_text": null,
            "token_dim": backbone.model.hidden_size(),
            "tokenizer_kwargs": null,
            "tokenizer_name_or_path": null,
        }),
    };
    if let (Some(config), serde_json::Value::Object(own)) = (config.as_object_mut(), own) {
        config.extend(own);
        config.sort_keys();
    }
    let file = folder.join("adapter_config.json");
    let text = serde_json::to_string_pretty(&config)
        .map_err(|source| CheckpointError::Metadata { file: file.clone(), source })?;
    atomically(&file, format!("{text}\n").as_bytes())?;
    atomically(&folder.join("README.md"), readme(prompt, backbone_source, opens).as_bytes())?;

    let (mut back, _) = read_tensors(&weights)?;
    let difference = largest_difference(&data, back.remove("prompt_embeddings").as_ref());
    if difference == 0.0 { Ok(()) } else { Err(Error::ExportDiffers { path: weights, difference }) }
}

/// `opens` is whether the tokenizer opens every sequence with a token of its own.
fn readme(prompt: &Prompt, backbone_source: &str, opens: bool) -> String {
    let template = prompt.template.template();
    let (format, place) = match template.prefix() {
        0 => ("PROMPT_TUNING", "The virtual tokens come first; the text after them"),
        _ => ("PREFIX_TUNING", "Keys and values of every layer come first; the text after them"),
    };
    let special = if opens { "True" } else { "False" };
    let text: String = template
        .segments()
        .iter()
        .map(|segment| match &segment.kind {
            SegmentKind::Literal(words) => words.replace('{', "{{").replace('}', "}}"),
            SegmentKind::Input { field, .. } => format!("{{{field}}}"),
            SegmentKind::Answer | SegmentKind::Virtual { .. } | SegmentKind::Prefix { .. } => {
                String::new()
            }
        })
        .collect();
    let fields = template.fields().join("=…, ");
    format!(
        "# A prompt trained by ptune, in PEFT's {format} format\n\n\
         Template: `{}`  \nBackbone: `{backbone_source}`\n\n\
         {place} keeps its leading space:\n\n\
         ```python\n\
         from peft import PeftModel\n\
         from transformers import AutoModelForCausalLM, AutoTokenizer\n\n\
         base = AutoModelForCausalLM.from_pretrained(BACKBONE_FOLDER)\n\
         model = PeftModel.from_pretrained(base, \"THIS_FOLDER\")\n\
         tokenizer = AutoTokenizer.from_pretrained(BACKBONE_FOLDER)\n\
         text = {:?}.format({fields}=…)\n\
         ids = tokenizer(text, add_special_tokens={special}, return_tensors=\"pt\")\n\
         logits = model(**ids).logits[0, -1]  # scores of the answer\n\
         ```\n",
        template.source(),
        text.trim_end(),
    )
}
