//! The header of a GGUF, read whole and checked against the file before anything relies on it.

use std::collections::HashSet;

use super::MAGIC;
use super::cursor::{Cursor, GgufError, GgufProblem};
use super::value::{Metadata, Value};
use crate::source::Dtype;

/// Least bytes of a metadata entry: an empty key, a type, a one-byte value.
const LEAST_ENTRY: usize = 8 + 4 + 1;
/// Least bytes of a tensor's entry: an empty name, one dimension, a type, an offset.
const LEAST_TENSOR: usize = 8 + 4 + 8 + 4 + 8;
/// Alignment where `general.alignment` says nothing.
const DEFAULT_ALIGNMENT: usize = 32;

/// A parsed header.
#[derive(Debug)]
pub struct Header<'a> {
    /// The metadata.
    pub metadata: Metadata<'a>,
    /// The tensors, in the order of the file.
    pub tensors: Vec<TensorInfo>,
    /// Byte at which the tensors' data starts.
    pub data_start: usize,
}

/// Where a tensor lies and how it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// llama.cpp's name.
    pub name: String,
    /// Shape in PyTorch's order, slowest dimension first (the file has the fastest first).
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub dtype: Dtype,
    /// Byte of the file at which it starts.
    pub start: usize,
    /// Bytes that it takes.
    pub size: usize,
}

impl<'a> Header<'a> {
    /// Parses the header of a whole file.
    ///
    /// Counts and lengths are checked against the bytes that are left before anything is allocated
    /// for them, and every tensor lies in the file, aligned, apart from all others.
    ///
    /// # Errors
    /// The first fault, with its byte.
    pub fn parse(file: &'a [u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(file);
        let magic = cursor.array("the magic")?;
        if magic != MAGIC {
            return Err(GgufProblem::Magic { found: magic }.at(0));
        }
        match cursor.u32("the version")? {
            2 | 3 => {}
            found if found != 0 && found & 0xffff == 0 => return Err(GgufProblem::BigEndian.at(4)),
            found => return Err(GgufProblem::Version { found }.at(4)),
        }
        let tensor_count = cursor.count(LEAST_TENSOR, "tensors")?;
        let entry_count = cursor.count(LEAST_ENTRY, "metadata entries")?;

        let mut metadata = Metadata::default();
        let mut alignment = DEFAULT_ALIGNMENT;
        for _ in 0..entry_count {
            let start = cursor.offset();
            let key = cursor.text("a metadata key")?;
            let value = Value::read(&mut cursor, key)?;
            if key == "general.alignment" {
                alignment = usable_alignment(&value).map_err(|problem| problem.at(start))?;
            }
            if !metadata.insert(key, value) {
                return Err(GgufProblem::DuplicateKey { key: key.to_owned() }.at(start));
            }
        }

        let mut raw = Vec::with_capacity(tensor_count);
        let mut names = HashSet::with_capacity(tensor_count);
        for _ in 0..tensor_count {
            let tensor = RawTensor::read(&mut cursor)?;
            if !names.insert(tensor.name) {
                return Err(
                    GgufProblem::DuplicateTensor { name: tensor.name.to_owned() }.at(tensor.entry)
                );
            }
            raw.push(tensor);
        }

        // A file without tensors may end with its header, unpadded.
        let data_start = cursor.offset().next_multiple_of(alignment).min(file.len());
        let tensors = raw
            .iter()
            .map(|tensor| tensor.place(alignment, data_start, file.len()))
            .collect::<Result<Vec<_>, _>>()?;
        check_apart(&raw, &tensors)?;
        Ok(Self { metadata, tensors, data_start })
    }
}

/// `general.alignment`: a power of two, as ggml demands.
fn usable_alignment(value: &Value<'_>) -> Result<usize, GgufProblem> {
    match value {
        Value::Unsigned(number) if number.is_power_of_two() => {
            u32::try_from(*number).ok().map(|number| number as usize)
        }
        _ => None,
    }
    .ok_or_else(|| GgufProblem::Alignment { found: short(value) })
}

/// A value for an error message; an array could be megabytes.
fn short(value: &Value<'_>) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Text(_) => "a string".to_owned(),
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
    }
}

/// A tensor's entry as it stands in the file.
struct RawTensor<'a> {
    entry: usize,
    name: &'a str,
    shape: Vec<usize>,
    row: usize,
    elements: usize,
    dtype: Dtype,
    offset: u64,
}

impl<'a> RawTensor<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, GgufError> {
        let entry = cursor.offset();
        let name = cursor.text("a tensor's name")?;
        let dimensions = cursor.u32("a tensor's number of dimensions")?;
        if !(1..=4).contains(&dimensions) {
            return Err(
                GgufProblem::Dimensions { name: name.to_owned(), found: dimensions }.at(entry)
            );
        }
        let sizes = (0..dimensions)
            .map(|_| cursor.u64("a tensor's shape"))
            .collect::<Result<Vec<_>, _>>()?;
        let impossible = || GgufProblem::Shape { name: name.to_owned(), shape: sizes.clone() };
        let shape = sizes
            .iter()
            .rev()
            .map(|&size| usize::try_from(size).ok().filter(|&size| size > 0))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| impossible().at(entry))?;
        let elements = shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size))
            .ok_or_else(|| impossible().at(entry))?;
        let kind_at = cursor.offset();
        let number = cursor.u32("a tensor's type")?;
        let dtype = Dtype::from_ggml(number).ok_or_else(|| {
            GgufProblem::TensorType { name: name.to_owned(), found: number }.at(kind_at)
        })?;
        let offset = cursor.u64("a tensor's offset")?;
        let row = shape.last().copied().unwrap_or(1);
        Ok(Self { entry, name, shape, row, elements, dtype, offset })
    }

    /// The tensor's bytes, which must be whole blocks, aligned, within the file.
    fn place(
        &self,
        alignment: usize,
        data_start: usize,
        end: usize,
    ) -> Result<TensorInfo, GgufError> {
        let name = || self.name.to_owned();
        let fault = |problem: GgufProblem| problem.at(self.entry);
        if !self.row.is_multiple_of(self.dtype.block_len()) {
            return Err(fault(GgufProblem::Blocks {
                name: name(),
                dtype: self.dtype,
                row: self.row,
            }));
        }
        let size = self.dtype.byte_len(self.elements).ok_or_else(|| {
            let shape = self.shape.iter().rev().map(|&size| size as u64).collect();
            fault(GgufProblem::Shape { name: name(), shape })
        })?;
        if !self.offset.is_multiple_of(alignment as u64) {
            return Err(fault(GgufProblem::Unaligned {
                name: name(),
                offset: self.offset,
                alignment,
            }));
        }
        let available = end - data_start;
        let start = usize::try_from(self.offset)
            .ok()
            .filter(|offset| offset.checked_add(size).is_some_and(|end| end <= available))
            .ok_or_else(|| {
                fault(GgufProblem::OutOfRange {
                    name: name(),
                    offset: self.offset,
                    size,
                    available,
                })
            })?;
        Ok(TensorInfo {
            name: name(),
            shape: self.shape.clone(),
            dtype: self.dtype,
            start: data_start + start,
            size,
        })
    }
}

/// Refuses tensors that share bytes: with them a small file could pose as a large model.
fn check_apart(raw: &[RawTensor<'_>], tensors: &[TensorInfo]) -> Result<(), GgufError> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&index| tensors[index].start);
    for pair in order.windows(2) {
        let (first, second) = (&tensors[pair[0]], &tensors[pair[1]]);
        if first.start + first.size > second.start {
            return Err(GgufProblem::Overlap {
                first: first.name.clone(),
                second: second.name.clone(),
            }
            .at(raw[pair[1]].entry));
        }
    }
    Ok(())
}
