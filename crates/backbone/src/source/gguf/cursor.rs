//! Reading a header that may be hostile: every read is bounded by the file and knows where it is.

/// What is wrong with a GGUF header, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {problem}")]
pub struct GgufError {
    /// Byte of the file at which the faulty item starts.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: GgufProblem,
}

/// What is wrong with an item of a GGUF header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GgufProblem {
    /// The file does not start with "GGUF".
    #[error("expected the magic \"GGUF\", found bytes {found:02x?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The file was written for machines of the other byte order.
    #[error("the file is big-endian; convert it with gguf_convert_endian.py of the gguf package")]
    BigEndian,
    /// A version that is not read.
    #[error("expected GGUF version 2 or 3, found {found}")]
    Version {
        /// The version.
        found: u32,
    },
    /// The file ends before the item does.
    #[error("expected {wanted} more bytes for {what}, the file has {left}; is it whole?")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes that it takes.
        wanted: u64,
        /// Bytes that are left.
        left: usize,
    },
    /// A count that the rest of the file cannot hold.
    #[error("{count} {what} do not fit in the {left} bytes that are left")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there should be.
        count: u64,
        /// Bytes that are left.
        left: usize,
    },
    /// A string that is not UTF-8.
    #[error("{what} is not valid UTF-8")]
    NotUtf8 {
        /// What the string is.
        what: &'static str,
    },
    /// An unknown type of a metadata value.
    #[error("metadata key {key:?} has the unknown value type {found}")]
    ValueType {
        /// The key.
        key: String,
        /// The type's number.
        found: u32,
    },
    /// An array within an array, which no model needs.
    #[error("metadata key {key:?} is an array of arrays, which is not supported")]
    NestedArray {
        /// The key.
        key: String,
    },
    /// A boolean that is neither 0 nor 1.
    #[error("metadata key {key:?}: expected a boolean as 0 or 1, found {found}")]
    Boolean {
        /// The key.
        key: String,
        /// The byte.
        found: u8,
    },
    /// A metadata key that comes twice.
    #[error("metadata key {key:?} comes twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// `general.alignment` is not usable.
    #[error("general.alignment: expected a power of two as a 32-bit number, found {found}")]
    Alignment {
        /// The value, as text.
        found: String,
    },
    /// A tensor name that comes twice.
    #[error("tensor {name:?} comes twice")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// A number of dimensions that ggml does not have.
    #[error("tensor {name:?}: expected 1 to 4 dimensions, found {found}")]
    Dimensions {
        /// The tensor.
        name: String,
        /// Its number of dimensions.
        found: u32,
    },
    /// A shape with a zero, or whose size overflows.
    #[error("tensor {name:?} has the impossible shape {shape:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its dimensions, in the order of the file.
        shape: Vec<u64>,
    },
    /// A storage type that cannot be read.
    #[error(
        "tensor {name:?} is stored as ggml type {found}; supported are {}",
        crate::source::error::supported_dtypes()
    )]
    TensorType {
        /// The tensor.
        name: String,
        /// The type's number.
        found: u32,
    },
    /// A row that is not a whole number of blocks.
    #[error("tensor {name:?} of type {dtype}: rows of {row} are no whole number of blocks")]
    Blocks {
        /// The tensor.
        name: String,
        /// Its storage type.
        dtype: crate::source::Dtype,
        /// Length of its rows.
        row: usize,
    },
    /// An offset that breaks the file's alignment.
    #[error("tensor {name:?}: offset {offset} is not a multiple of the alignment {alignment}")]
    Unaligned {
        /// The tensor.
        name: String,
        /// Its offset in the data section.
        offset: u64,
        /// The file's alignment.
        alignment: usize,
    },
    /// A tensor that lies beyond the end of the file.
    #[error(
        "tensor {name:?} needs {size} bytes at offset {offset} of the data, which has {available}; \
         is the file whole?"
    )]
    OutOfRange {
        /// The tensor.
        name: String,
        /// Its offset in the data section.
        offset: u64,
        /// Bytes that it takes.
        size: usize,
        /// Bytes of the data section.
        available: usize,
    },
    /// Two tensors that share bytes.
    #[error("tensors {first:?} and {second:?} overlap")]
    Overlap {
        /// The one that starts first.
        first: String,
        /// The other.
        second: String,
    },
}

impl GgufProblem {
    /// The error for this problem at a byte of the file.
    pub(super) fn at(self, offset: usize) -> GgufError {
        GgufError { offset, problem: self }
    }
}

/// A position in the bytes of a file.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes not read yet.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.offset
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: u64, what: &'static str) -> Result<&'a [u8], GgufError> {
        let rest = &self.bytes[self.offset..];
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let Some(taken) = taken else {
            return Err(
                GgufProblem::Truncated { what, wanted: length, left: rest.len() }.at(self.offset)
            );
        };
        self.offset += taken.len();
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], GgufError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    /// A 32-bit number.
    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// A 64-bit number.
    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A number of items of at least `item_bytes` bytes each, refused if the rest of the file could
    /// not hold them; so a count can be trusted with an allocation.
    pub(super) fn count(
        &mut self,
        item_bytes: usize,
        what: &'static str,
    ) -> Result<usize, GgufError> {
        let start = self.offset;
        let count = self.u64(what)?;
        let left = self.left();
        usize::try_from(count)
            .ok()
            .filter(|count| count.checked_mul(item_bytes).is_some_and(|bytes| bytes <= left))
            .ok_or_else(|| GgufProblem::Count { what, count, left }.at(start))
    }

    /// A string: its length in 64 bits, then UTF-8.
    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, GgufError> {
        let start = self.offset;
        let length = self.u64(what)?;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|_| GgufProblem::NotUtf8 { what }.at(start))
    }
}
