//! How an export is used from Python, for its card.

use backbone::Backbone;
use ptuning_core::language_model::{Objective, Tokenize};
use ptuning_core::template::Stretch;
use serde_json::{Value, json};

use super::free_rows::FreeRow;
use super::peft::{ENCODER, IDS};
use crate::prompt::Prompt;

/// Of a kind that PEFT prepends: the text behind the prompt goes to the tokenizer as ptune gives it.
pub fn prompt(prompt: &Prompt, backbone: &Backbone) -> String {
    let template = &prompt.template;
    let place = match template.template().prefix() {
        0 => "The virtual tokens come first; the text after them",
        _ => "Keys and values of every layer come first; the text after them",
    };
    let opens = !backbone.tokenizer.special().prefix.is_empty();
    let special = if opens { "True" } else { "False" };
    let stretches = template.stretches(&backbone.tokenizer);
    let text: String = stretches
        .iter()
        .filter_map(|stretch| match stretch {
            Stretch::Text(text) => Some(text.as_str()),
            Stretch::Ids(_) | Stretch::Virtual(_) => None,
        })
        .collect();
    let fields = fields(prompt);
    format!(
        "{place} keeps its leading space:\n\n\
         ```python\n\
         from peft import PeftModel\n\
         from transformers import AutoModelForCausalLM, AutoTokenizer\n\n\
         base = AutoModelForCausalLM.from_pretrained(BACKBONE_FOLDER)\n\
         model = PeftModel.from_pretrained(base, \"THIS_FOLDER\")\n\
         tokenizer = AutoTokenizer.from_pretrained(BACKBONE_FOLDER)\n\
         text = {}.format({fields})\n\
         ids = tokenizer(text, add_special_tokens={special}, return_tensors=\"pt\")\n\
         logits = model(**ids).logits[0, -1]  # scores of the answer\n\
         ```\n",
        json!(text),
    )
}

/// What P_TUNING adds to that.
pub fn encoder() -> String {
    format!(
        "\n`{ENCODER}` is the prompt encoder that made the vectors, which PEFT does not load by itself. To train on \
         from it:\n\n\
         ```python\n\
         from peft import PeftConfig, get_peft_model\n\
         from safetensors.torch import load_file\n\n\
         config = PeftConfig.from_pretrained(\"THIS_FOLDER\")\n\
         config.inference_mode = False\n\
         model = get_peft_model(base, config)\n\
         model.prompt_encoder[\"default\"].load_state_dict(load_file(\"THIS_FOLDER/{ENCODER}\"))\n\
         ```\n"
    )
}

/// Of rows of the vocabulary: a prompt is a list of ids.
pub fn tokens(prompt: &Prompt, backbone: &Backbone, rows: &[FreeRow], tied: bool) -> String {
    let (class, place) = answering(prompt, backbone, "ids");
    let fields = fields(prompt);
    let parts: Vec<String> =
        parts(prompt, backbone, rows).iter().map(|part| format!("    {part},\n")).collect();
    let change = if tied {
        "The head of this backbone scores words by the same rows, so the logits of these ids change with them; they \
         are never an answer, but a softmax over the whole vocabulary is another by what they weigh."
    } else {
        "The head of this backbone has rows of its own, so no logit but by way of the prompt changes."
    };
    // PEFT's layer over a head that shares the table computes without the head's bias, which masked language
    // models have; merged, the head is its own again.
    let (merged, why) = match tied && prompt.template.objective() == Objective::Masked {
        true => (".merge_and_unload()", "  # unmerged, PEFT leaves out the head's bias"),
        false => ("", ""),
    };
    format!(
        "The virtual tokens are rows of the vocabulary that nothing else uses (`{IDS}` has them too):\n\n\
         {}\n{change}\n\n\
         ```python\n\
         import torch\n\
         from peft import PeftModel\n\
         from transformers import {class}, AutoTokenizer\n\n\
         base = {class}.from_pretrained(BACKBONE_FOLDER)\n\
         model = PeftModel.from_pretrained(base, \"THIS_FOLDER\"){merged}{why}\n\
         tokenizer = AutoTokenizer.from_pretrained(BACKBONE_FOLDER)\n\
         parts = [\n{}]\n\
         ids = []\n\
         for part in parts:\n    \
             if isinstance(part, str):\n        \
                 part = tokenizer(part.format({fields}), add_special_tokens=False).input_ids\n    \
             ids += part\n\
         logits = model(input_ids=torch.tensor([ids])).logits[0, {place}]  # scores of the answer\n\
         ```\n",
        table(prompt, rows),
        parts.concat()
    )
}

/// Of a language model whose tokenizer knows the virtual tokens: a prompt is `text`.
pub fn words(
    prompt: &Prompt,
    backbone: &Backbone,
    rows: &[FreeRow],
    text: &str,
    tied: bool,
) -> String {
    let (class, place) = answering(prompt, backbone, "ids.input_ids[0].tolist()");
    let fields = fields(prompt);
    let change = if tied {
        "The head scores words by the same rows, so the logits of these ids are others than before: leave them out of \
         what may answer."
    } else {
        "The head has rows of its own, which are as before."
    };
    format!(
        "This folder is the language model, in float32, with the virtual tokens as words of its vocabulary (`<h_0>` \
         …), so that a prompt is text, for transformers or any engine that the folder is converted for.\n\n\
         {}\n{change}\n\n\
         ```python\n\
         from transformers import {class}, AutoTokenizer\n\n\
         model = {class}.from_pretrained(\"THIS_FOLDER\")\n\
         tokenizer = AutoTokenizer.from_pretrained(\"THIS_FOLDER\")\n\
         text = {}.format({fields})\n\
         ids = tokenizer(text, return_tensors=\"pt\")\n\
         logits = model(**ids).logits[0, {place}]  # scores of the answer\n\
         ```\n",
        table(prompt, rows),
        json!(text),
    )
}

/// The class that loads the language model, and where among ids its answer is scored.
fn answering(prompt: &Prompt, backbone: &Backbone, ids: &str) -> (&'static str, String) {
    match (prompt.template.objective(), backbone.tokenizer.special().mask) {
        (Objective::Masked, Some(mask)) => ("AutoModelForMaskedLM", format!("{ids}.index({mask})")),
        _ => ("AutoModelForCausalLM", "-1".to_owned()),
    }
}

/// Which row is which virtual token.
fn table(prompt: &Prompt, rows: &[FreeRow]) -> String {
    let names = prompt.template.virtual_tokens().iter().map(|token| &token.name);
    let row = |(name, FreeRow { id, token, why }): (&String, &FreeRow)| {
        let token = token.as_ref().map_or("none".to_owned(), |token| format!("`{token}`"));
        format!("| {name} | {id} | {} | {why} |\n", token.replace('|', "\\|"))
    };
    let rows: String = names.zip(rows).map(row).collect();
    format!("| virtual token | id | was | free because |\n|---|---:|---|---|\n{rows}")
}

/// A sequence's parts in order: ids as lists, texts as Python's `str.format` takes them.
pub fn parts(prompt: &Prompt, backbone: &Backbone, rows: &[FreeRow]) -> Vec<Value> {
    let stretches = prompt.template.stretches(&backbone.tokenizer);
    let part = |stretch| match stretch {
        Stretch::Ids(ids) => json!(ids),
        Stretch::Text(text) => json!(text),
        Stretch::Virtual(range) => json!(rows[range].iter().map(|row| row.id).collect::<Vec<_>>()),
    };
    stretches.into_iter().map(part).collect()
}

fn fields(prompt: &Prompt) -> String {
    let fields = prompt.template.template().fields();
    fields.iter().map(|field| format!("{field}=…")).collect::<Vec<_>>().join(", ")
}
