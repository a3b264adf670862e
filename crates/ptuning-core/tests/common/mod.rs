//! A tokenizer of words and a language model of one matrix, enough to fulfil the traits.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Mutex;

use burn::tensor::{Device, Tensor, TensorData};
use ptuning_core::language_model::{
    Inputs, LanguageModel, Layout, Objective, SpecialTokens, Token, Tokenize,
};

/// Splits at spaces; a space belongs to the word after it; every new word gets the next id.
pub struct Words {
    known: Mutex<Vec<String>>,
    special: SpecialTokens,
    /// Whether a sequence begins with a space of its own.
    opens: bool,
}

impl Words {
    pub fn causal() -> Self {
        Self {
            known: Mutex::new(vec!["<pad>".into()]),
            special: SpecialTokens::default(),
            opens: false,
        }
    }

    /// The same, opening every sequence with a space.
    pub fn opening(self) -> Self {
        Self { opens: true, ..self }
    }

    pub fn masked() -> Self {
        let known = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"].map(String::from).to_vec();
        let special =
            SpecialTokens { prefix: vec![1], suffix: vec![2], mask: Some(3), pad: Some(0) };
        Self { known: Mutex::new(known), special, opens: false }
    }
}

impl Tokenize for Words {
    fn encode(&self, text: &str) -> Vec<Token> {
        let mut known = self.known.lock().unwrap();
        let mut starts: Vec<usize> = Vec::new();
        let mut after_space = true;
        for (at, c) in text.char_indices() {
            if c == ' ' && !after_space || at == 0 {
                starts.push(at);
            }
            after_space = c == ' ';
        }
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        let token = |(start, end): (usize, usize)| {
            let word = &text[start..end];
            let id = known.iter().position(|w| w == word).unwrap_or_else(|| {
                known.push(word.to_owned());
                known.len() - 1
            });
            Token { id: id as u32, span: start..end }
        };
        starts.iter().copied().zip(ends).map(token).collect()
    }

    fn decode(&self, ids: &[u32]) -> String {
        let known = self.known.lock().unwrap();
        ids.iter().filter_map(|&id| known.get(id as usize).cloned()).collect()
    }

    fn token(&self, id: u32) -> Option<String> {
        self.known.lock().unwrap().get(id as usize).cloned()
    }

    fn vocab_size(&self) -> usize {
        64
    }

    fn special(&self) -> &SpecialTokens {
        &self.special
    }

    fn opens_with_space(&self) -> bool {
        self.opens
    }
}

/// Sums an example's embeddings, each weighted by its position, and scores the vocabulary by it.
pub struct Bag {
    pub table: Tensor<2>,
    pub shares: bool,
}

impl Bag {
    pub fn new(vocab: usize, hidden: usize, device: &Device) -> Self {
        let values: Vec<f32> =
            (0..vocab * hidden).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        let table = Tensor::from_data(TensorData::new(values, [vocab, hidden]), device);
        Self { table, shares: true }
    }
}

impl LanguageModel for Bag {
    fn objective(&self) -> Objective {
        Objective::Causal
    }
    fn vocab_size(&self) -> usize {
        self.table.dims()[0]
    }
    fn hidden_size(&self) -> usize {
        self.table.dims()[1]
    }
    fn max_positions(&self) -> usize {
        32
    }
    fn device(&self) -> Device {
        self.table.device()
    }
    fn word_embeddings(&self) -> Tensor<2> {
        self.table.clone()
    }
    fn shares_prefix(&self) -> bool {
        self.shares
    }
    fn embed(&self, ids: &[u32]) -> Tensor<2> {
        self.table.clone().select(0, ptuning_core::objective::ids(ids, &self.device()))
    }
    fn encode(&self, inputs: Inputs, layout: &Layout) -> Tensor<2> {
        let embeddings = inputs.embeddings;
        let starts = layout.starts();
        let rows = layout.answers.iter().map(|&(example, position)| {
            let row = |p| if p < layout.shared { p } else { starts[example] + p - layout.shared };
            let seen: Vec<u32> = (0..=position).map(|p| row(p) as u32).collect();
            let seen = ptuning_core::objective::ids(&seen, &self.device());
            let weights: Vec<f32> = (0..=position).map(|p| 1.0 / (p as f32 + 1.0)).collect();
            let weights = TensorData::new(weights, [position + 1, 1]);
            let seen = embeddings.clone().select(0, seen);
            (seen * Tensor::from_data(weights, &self.device())).sum_dim(0)
        });
        Tensor::cat(rows.collect(), 0)
    }
    fn head(&self, hidden: Tensor<2>) -> Tensor<2> {
        hidden.matmul(self.table.clone().transpose())
    }
    fn head_rows(&self, ids: &[u32]) -> Tensor<2> {
        self.embed(ids)
    }
}

pub fn fields(pairs: &[(&str, &str)]) -> ptuning_core::template::Fields {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}
