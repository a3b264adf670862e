//! Prompt encoders against PyTorch: outputs and the gradient of every parameter.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ptuning_core::prompt_encoder::{
    EncoderConfig, EncoderKind, Initializer, PromptEncoder, Start, initial_vectors,
};
use ptuning_core::template::VirtualToken;
use safetensors::SafeTensors;

type Golden = BTreeMap<String, TensorData>;

/// Tensors of one case of the golden file, under PyTorch's names.
fn golden(case: &str) -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lstm.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .filter_map(|(name, view)| {
            let name = name.strip_prefix(&format!("{case}/"))?.to_owned();
            let values: Vec<f32> =
                view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            Some((name, TensorData::new(values, view.shape().to_vec())))
        })
        .collect()
}

/// This encoder's parameter path → PyTorch's name.
fn torch_name(path: &str) -> String {
    let mut name = path.to_owned();
    for layer in 0..2 {
        for (ours, theirs) in [("forward", ""), ("backward", "_reverse")] {
            for part in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
                name = name.replace(
                    &format!("lstm.layers.{layer}.{ours}.{part}"),
                    &format!("lstm.{part}_l{layer}{theirs}"),
                );
            }
        }
    }
    let name = name.replace("mlp.first", "mlp.0").replace("mlp.second", "mlp.2");
    if name == "embedding" { "embedding.weight".to_owned() } else { name }
}

struct Set<'a>(&'a Golden, Vec<String>, usize);

impl ModuleMapper for Set<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.1.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.1.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = torch_name(&self.1.join("."));
        let data = self.0.get(&name).unwrap_or_else(|| panic!("golden lacks {name}")).clone();
        self.2 += 1;
        param.map(|old| {
            assert_eq!(old.dims().to_vec(), data.shape().to_vec(), "{name}");
            Tensor::from_data(data, &old.device()).require_grad()
        })
    }
}

struct Compare<'a>(&'a Golden, Vec<String>, burn::tensor::Gradients, usize);

impl ModuleVisitor for Compare<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.1.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.1.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = format!("grad.{}", torch_name(&self.1.join(".")));
        let found = param.val().grad(&self.2).unwrap_or_else(|| panic!("no {name}")).into_data();
        close(&name, &found, &self.0[&name]);
        self.3 += 1;
    }
}

fn close(name: &str, found: &TensorData, expected: &TensorData) {
    assert_eq!(found.shape(), expected.shape(), "{name}");
    for (a, b) in found.iter::<f32>().zip(expected.iter::<f32>()) {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{name}: {a} and {b}");
    }
}

fn check(case: &str, kind: EncoderKind, parameters: usize) {
    let golden = golden(case);
    let [prompt, hidden] = golden["embedding.weight"].shape().to_vec()[..] else { panic!() };
    let device = Device::flex().autodiff();
    let config = EncoderConfig { kind, prompt, hidden, inner: hidden, prefix_width: None };
    let zeros = Tensor::zeros([prompt, hidden], &Device::flex());
    let encoder = PromptEncoder::new(&config, zeros, &mut Initializer::new(0), &device);
    let mut set = Set(&golden, Vec::new(), 0);
    let encoder = encoder.map_parameters(&mut set);
    assert_eq!(set.2, parameters);
    assert_eq!(encoder.num_params(), config.parameters());
    let output = encoder.forward();
    close("output", &output.to_data(), &golden["output"]);
    let upstream = Tensor::from_data(golden["grad_output"].clone(), &Device::flex());
    let gradients = (output * upstream).sum().backward();
    let mut compare = Compare(&golden, Vec::new(), gradients, 0);
    encoder.visit_parameters(&mut compare);
    assert_eq!(compare.3, parameters);
}

#[test]
fn lstm_equals_torch() {
    check("lstm_n5_h12", EncoderKind::Lstm, 21);
    check("lstm_n7_h16", EncoderKind::Lstm, 21);
}

#[test]
fn mlp_equals_torch() {
    check("mlp_n5_h12", EncoderKind::Mlp, 5);
    check("mlp_n7_h16", EncoderKind::Mlp, 5);
}

#[test]
fn starts_are_what_they_say() {
    let device = Device::flex();
    let table: Tensor<2> =
        Tensor::from_data(TensorData::new((0..40).map(|i| i as f32).collect(), [10, 4]), &device);
    let tokens = |starts: &[Option<u32>]| -> Vec<VirtualToken> {
        starts.iter().map(|&start| VirtualToken { name: String::new(), start, tie: None }).collect()
    };
    let plain = tokens(&[None, Some(7), None]);
    let rows = |start: &Start, tokens: &[VirtualToken], seed: u64| {
        let data = initial_vectors(start, tokens, &table, &mut Initializer::new(seed)).into_data();
        let values: Vec<f32> = data.iter().collect();
        values.chunks(4).map(<[f32]>::to_vec).collect::<Vec<_>>()
    };
    let row = |id: usize| (0..4).map(|i| (id * 4 + i) as f32).collect::<Vec<_>>();
    let words = rows(&Start::Words(vec![2, 3]), &plain, 0);
    assert_eq!(words, [row(2), row(7), row(2)], "the template's own words come first");
    let normal = rows(&Start::Normal { std: 0.5 }, &plain, 0);
    assert_eq!(normal[1], row(7));
    assert_ne!(normal[0], normal[2]);
    assert_eq!(normal, rows(&Start::Normal { std: 0.5 }, &plain, 0), "a seed gives one start");
    assert_ne!(normal, rows(&Start::Normal { std: 0.5 }, &plain, 1));
    let drawn = rows(&Start::Vocabulary, &plain, 3);
    assert!(drawn.iter().all(|vector| (0..10).any(|id| *vector == row(id))));
    let many = initial_vectors(
        &Start::Normal { std: 0.5 },
        &tokens(&[None; 500]),
        &table,
        &mut Initializer::new(1),
    );
    let spread: f32 = many.clone().var(0).mean().into_scalar();
    assert!((spread.sqrt() - 0.5).abs() < 0.03, "standard deviation {}", spread.sqrt());
}
