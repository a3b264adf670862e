//! Reading a family's tensors and its config, with errors that name what was expected.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use kernels::frozen::Frozen;
use serde_json::{Map, Value};

use crate::device::is_cpu;
use crate::error::LoadError;
use crate::source::{Source, Weights, nearest};

/// Reads tensors of one source onto one device.
pub struct Loader<'a> {
    config: &'a Map<String, Value>,
    config_file: &'a Path,
    weights: &'a dyn Weights,
    device: &'a Device,
    packed: bool,
}

impl<'a> Loader<'a> {
    /// A loader of `source` for `device`, into packed form if `fused` and the device has it.
    pub fn new(source: &'a Source, device: &'a Device, fused: bool) -> Self {
        let weights = source.weights.as_ref();
        Self::of(&source.config, &source.config_file, weights, device, fused)
    }

    /// As [`new`](Self::new), from the parts of a source.
    pub(crate) fn of(
        config: &'a Map<String, Value>,
        config_file: &'a Path,
        weights: &'a dyn Weights,
        device: &'a Device,
        fused: bool,
    ) -> Self {
        Self { config, config_file, weights, device, packed: fused && is_cpu(device) }
    }

    /// Whether weights are packed for the CPU's kernels.
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// One matrix, packed as it is stored, `[rows, columns]`.
    pub fn frozen(&self, name: &str, rows: usize, columns: usize) -> Result<Frozen, LoadError> {
        self.check(name, &[rows, columns])?;
        Ok(Frozen::new(self.weights.read_values(name)?, rows, columns))
    }

    /// One vector as plain numbers, `[size]`.
    pub fn numbers(&self, name: &str, size: usize) -> Result<Vec<f32>, LoadError> {
        self.check(name, &[size])?;
        Ok(self.weights.read_vec(name)?)
    }

    /// The device tensors are put on.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// A whole number of the config, at least 1.
    pub fn size(&self, key: &'static str) -> Result<usize, LoadError> {
        self.optional_size(key)?.ok_or_else(|| self.missing(key, "a whole number"))
    }

    /// A whole number of the config, at least 1, if it is there and not null.
    pub fn optional_size(&self, key: &'static str) -> Result<Option<usize>, LoadError> {
        match self.config.get(key) {
            None | Some(Value::Null) => Ok(None),
            // Sizes beyond this belong to no model and would only overflow later.
            Some(value) => match value.as_u64() {
                Some(n @ 1..=0xffff_ffff) => Ok(Some(n as usize)),
                _ => Err(self.bad(key, "a whole number of at least 1", value)),
            },
        }
    }

    /// A number of the config, or `default`.
    pub fn number(&self, key: &'static str, default: f64) -> Result<f64, LoadError> {
        match self.config.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => match value.as_f64() {
                Some(x) if x.is_finite() && x > 0.0 => Ok(x),
                _ => Err(self.bad(key, "a positive number", value)),
            },
        }
    }

    /// A switch of the config, or `default`.
    pub fn flag(&self, key: &'static str, default: bool) -> Result<bool, LoadError> {
        match self.config.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.bad(key, "true or false", value)),
        }
    }

    /// Requires a key to be absent or to have one of the values that the family implements.
    pub fn only(&self, key: &'static str, allowed: &[Value]) -> Result<(), LoadError> {
        match self.config.get(key) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if allowed.contains(value) => Ok(()),
            Some(value) => {
                let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
                let expected =
                    if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(" or ") };
                Err(LoadError::Unsupported {
                    file: self.config_file.to_owned(),
                    key: key.to_owned(),
                    expected,
                    found: shortened(value),
                })
            }
        }
    }

    /// Whether the source has a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.weights.shape(name).is_some()
    }

    /// One vector, `[size]`.
    pub fn vector(&self, name: &str, size: usize) -> Result<Tensor<1>, LoadError> {
        let values = self.numbers(name, size)?;
        Ok(Tensor::from_data(TensorData::new(values, [size]), self.device))
    }

    /// One matrix, `[rows, columns]`.
    pub fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Tensor<2>, LoadError> {
        self.stacked(&[(name, rows)], columns)
    }

    /// Several matrices on top of each other, `[sum of rows, columns]`: projections that share an
    /// input become one product.
    pub fn stacked(&self, parts: &[(&str, usize)], columns: usize) -> Result<Tensor<2>, LoadError> {
        let total: usize = parts.iter().map(|(_, rows)| rows).sum();
        // Shapes are checked before anything is allocated: a config cannot ask for more memory
        // than the file has numbers.
        for (name, rows) in parts {
            self.check(name, &[*rows, columns])?;
        }
        let mut values = vec![0.0; total * columns];
        let mut rest = values.as_mut_slice();
        for (name, rows) in parts {
            let (part, after) = rest.split_at_mut(rows * columns);
            self.weights.read_f32(name, part)?;
            rest = after;
        }
        Ok(Tensor::from_data(TensorData::new(values, [total, columns]), self.device))
    }

    fn check(&self, name: &str, expected: &[usize]) -> Result<(), LoadError> {
        match self.weights.shape(name) {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(LoadError::Shape {
                file: self.weights.path().to_owned(),
                name: name.to_owned(),
                expected: expected.to_vec(),
                found,
            }),
            None => Err(LoadError::MissingTensor {
                file: self.weights.path().to_owned(),
                name: name.to_owned(),
                nearest: nearest(name, self.weights.names().iter().map(String::as_str))
                    .map(str::to_owned),
            }),
        }
    }

    fn missing(&self, key: &str, expected: &'static str) -> LoadError {
        LoadError::Config {
            file: self.config_file.to_owned(),
            key: key.to_owned(),
            expected,
            found: "nothing".to_owned(),
        }
    }

    fn bad(&self, key: &str, expected: &'static str, found: &Value) -> LoadError {
        LoadError::Config {
            file: self.config_file.to_owned(),
            key: key.to_owned(),
            expected,
            found: shortened(found),
        }
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
