//! Metadata values, borrowed from the file.

use std::collections::HashMap;

use super::cursor::{Cursor, GgufError, GgufProblem};

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// An unsigned number of any width.
    Unsigned(u64),
    /// A signed number of any width.
    Signed(i64),
    /// A floating-point number; one of 32 bits is widened, not rounded to fewer digits.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A string.
    Text(&'a str),
    /// An array.
    Array(Array<'a>),
}

/// An array of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum Array<'a> {
    /// Strings.
    Texts(Vec<&'a str>),
    /// Numbers or booleans, decoded on demand so that an array costs no memory.
    Scalars {
        /// What each of them is.
        kind: Scalar,
        /// Their bytes, one after the other.
        bytes: &'a [u8],
    },
}

/// A fixed-width type of a metadata value.
#[allow(missing_docs)] // Named for what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    U64,
    I64,
    F64,
}

impl Scalar {
    const fn bytes(self) -> usize {
        match self {
            Scalar::U8 | Scalar::I8 | Scalar::Bool => 1,
            Scalar::U16 | Scalar::I16 => 2,
            Scalar::U32 | Scalar::I32 | Scalar::F32 => 4,
            Scalar::U64 | Scalar::I64 | Scalar::F64 => 8,
        }
    }

    /// The value in `bytes`, which are as many as [`bytes`](Self::bytes) says.
    fn decode<'a>(self, bytes: &[u8]) -> Value<'a> {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(wide);
        match self {
            Scalar::U8 | Scalar::U16 | Scalar::U32 | Scalar::U64 => Value::Unsigned(unsigned),
            Scalar::I8 => Value::Signed((unsigned as u8 as i8).into()),
            Scalar::I16 => Value::Signed((unsigned as u16 as i16).into()),
            Scalar::I32 => Value::Signed((unsigned as u32 as i32).into()),
            Scalar::I64 => Value::Signed(unsigned as i64),
            Scalar::F32 => Value::Float(f32::from_bits(unsigned as u32).into()),
            Scalar::F64 => Value::Float(f64::from_bits(unsigned)),
            Scalar::Bool => Value::Bool(unsigned != 0),
        }
    }
}

/// A value's type (`gguf_metadata_value_type`).
enum Kind {
    Scalar(Scalar),
    Text,
    Array,
}

impl Kind {
    fn read(cursor: &mut Cursor<'_>, key: &str) -> Result<Self, GgufError> {
        let start = cursor.offset();
        Ok(match cursor.u32("a value's type")? {
            0 => Kind::Scalar(Scalar::U8),
            1 => Kind::Scalar(Scalar::I8),
            2 => Kind::Scalar(Scalar::U16),
            3 => Kind::Scalar(Scalar::I16),
            4 => Kind::Scalar(Scalar::U32),
            5 => Kind::Scalar(Scalar::I32),
            6 => Kind::Scalar(Scalar::F32),
            7 => Kind::Scalar(Scalar::Bool),
            8 => Kind::Text,
            9 => Kind::Array,
            10 => Kind::Scalar(Scalar::U64),
            11 => Kind::Scalar(Scalar::I64),
            12 => Kind::Scalar(Scalar::F64),
            found => return Err(GgufProblem::ValueType { key: key.to_owned(), found }.at(start)),
        })
    }
}

impl<'a> Value<'a> {
    /// Reads a type and a value of it.
    pub(super) fn read(cursor: &mut Cursor<'a>, key: &str) -> Result<Self, GgufError> {
        match Kind::read(cursor, key)? {
            Kind::Scalar(scalar) => {
                let start = cursor.offset();
                let bytes = cursor.take(scalar.bytes() as u64, "a value")?;
                match (scalar, bytes) {
                    (Scalar::Bool, &[found]) if found > 1 => {
                        Err(GgufProblem::Boolean { key: key.to_owned(), found }.at(start))
                    }
                    _ => Ok(scalar.decode(bytes)),
                }
            }
            Kind::Text => cursor.text("a string value").map(Value::Text),
            Kind::Array => Array::read(cursor, key).map(Value::Array),
        }
    }

    /// The value as a whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::Unsigned(number) => Some(number),
            Value::Signed(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// The value as a floating-point number.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::Float(number) => Some(number),
            Value::Unsigned(number) => Some(number as f64),
            Value::Signed(number) => Some(number as f64),
            _ => None,
        }
    }

    /// The value as a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// The value as a string.
    pub fn as_str(&self) -> Option<&'a str> {
        match *self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as an array of strings.
    pub fn as_texts(&self) -> Option<&[&'a str]> {
        match self {
            Value::Array(Array::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    /// The value as an array of numbers or booleans.
    pub fn as_scalars(&self) -> Option<impl ExactSizeIterator<Item = Value<'a>>> {
        match *self {
            Value::Array(Array::Scalars { kind, bytes }) => {
                Some(bytes.chunks_exact(kind.bytes()).map(move |bytes| kind.decode(bytes)))
            }
            _ => None,
        }
    }
}

impl<'a> Array<'a> {
    fn read(cursor: &mut Cursor<'a>, key: &str) -> Result<Self, GgufError> {
        let start = cursor.offset();
        match Kind::read(cursor, key)? {
            Kind::Scalar(kind) => {
                let count = cursor.count(kind.bytes(), "array elements")?;
                let bytes = cursor.take((count * kind.bytes()) as u64, "an array")?;
                Ok(Array::Scalars { kind, bytes })
            }
            Kind::Text => {
                // A string takes its eight bytes of length at least.
                let count = cursor.count(8, "array elements")?;
                (0..count)
                    .map(|_| cursor.text("a string of an array"))
                    .collect::<Result<_, _>>()
                    .map(Array::Texts)
            }
            Kind::Array => Err(GgufProblem::NestedArray { key: key.to_owned() }.at(start)),
        }
    }
}

/// All metadata of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata<'a> {
    values: HashMap<&'a str, Value<'a>>,
}

impl<'a> Metadata<'a> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.values.get(key)
    }

    /// Adds a value; `false` if the key was there.
    pub(super) fn insert(&mut self, key: &'a str, value: Value<'a>) -> bool {
        self.values.insert(key, value).is_none()
    }

    /// All keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.values.keys().copied()
    }
}
