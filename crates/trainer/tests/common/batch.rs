//! The batch of each family's golden numbers, as the scripts under `scripts/reference/` see it.

use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use ptuning_core::language_model::Objective;
use ptuning_core::template::{Encoded, Slot};
use safetensors::SafeTensors;
use trainer::task::Item;

/// Virtual tokens in front.
pub const PROMPT: usize = 2;
/// Where masked models answer.
const POSITIONS: [usize; 4] = [3, 0, 0, 8];

pub fn golden_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbone/tests/golden").join(name)
}

/// An example of a family's golden batch.
pub struct Row {
    pub ids: Vec<u32>,
    pub answer: usize,
    pub label: u32,
}

pub fn rows(name: &str, objective: Objective) -> Vec<Row> {
    let bytes = std::fs::read(golden_folder(name).join("golden.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<u32> {
        let words = file.tensor(name).unwrap().data().as_chunks::<8>().0.to_vec();
        words.into_iter().map(|word| i64::from_le_bytes(word) as u32).collect()
    };
    let (ids, lengths, labels) = (integers("ids"), integers("lengths"), integers("labels"));
    let width = ids.len() / lengths.len();
    let row = |index: usize| {
        let length = lengths[index] as usize;
        let answer = match objective {
            Objective::Masked => POSITIONS[index],
            Objective::Causal => length - 1,
        };
        let ids = ids[index * width..index * width + length].to_vec();
        Row { ids, answer, label: labels[index] }
    };
    (0..lengths.len()).map(row).collect()
}

/// The same numbers as the script's `start`.
pub fn start(width: usize) -> TensorData {
    let value = |index: usize| {
        let (slot, i) = ((index / width) as f64, (index % width) as f64);
        (0.5 * (1.0 + 13.0 * slot + 0.7 * i).sin()) as f32
    };
    TensorData::new((0..PROMPT * width).map(value).collect::<Vec<f32>>(), [PROMPT, width])
}

/// The batch with virtual tokens in the place of the first `prompt` positions.
pub fn items(name: &str, objective: Objective, prompt: usize) -> Vec<Item> {
    let item = |(index, row): (usize, Row)| {
        let slots = (0..prompt.min(row.ids.len()))
            .map(|slot| Slot { position: slot, virtual_token: slot })
            .collect();
        let Row { ids, answer, label } = row;
        let (text, shortened) = (Vec::new(), Vec::new());
        Item {
            encoded: Encoded { ids, slots, text, answer, prefix: 0, shortened },
            answer: label,
            index,
            rivals: Vec::new(),
        }
    };
    rows(name, objective).into_iter().enumerate().map(item).collect()
}
