//! How numbers are stored in a weights file.

use std::fmt;

use kernels::frozen::Bits;

/// A storage type that can be read as f32.
///
/// The quantised ones are ggml's: a row is cut into blocks of [`block_len`](Self::block_len)
/// numbers, each block holding small integers and what scales them.
#[allow(missing_docs, non_camel_case_types)] // The names are the formats' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

impl Dtype {
    /// Every storage type, in the order of ggml's numbers but for the unquantised ones.
    pub const ALL: [Dtype; 11] = [
        Dtype::F32,
        Dtype::F16,
        Dtype::BF16,
        Dtype::Q4_0,
        Dtype::Q4_1,
        Dtype::Q5_0,
        Dtype::Q5_1,
        Dtype::Q8_0,
        Dtype::Q4_K,
        Dtype::Q5_K,
        Dtype::Q6_K,
    ];

    /// The type behind a GGUF tensor's type number (`ggml_type` in `ggml.h`).
    pub fn from_ggml(number: u32) -> Option<Dtype> {
        Some(match number {
            0 => Dtype::F32,
            1 => Dtype::F16,
            2 => Dtype::Q4_0,
            3 => Dtype::Q4_1,
            6 => Dtype::Q5_0,
            7 => Dtype::Q5_1,
            8 => Dtype::Q8_0,
            12 => Dtype::Q4_K,
            13 => Dtype::Q5_K,
            14 => Dtype::Q6_K,
            30 => Dtype::BF16,
            _ => return None,
        })
    }

    /// The type's name as its format spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::BF16 => "BF16",
            Dtype::Q4_0 => "Q4_0",
            Dtype::Q4_1 => "Q4_1",
            Dtype::Q5_0 => "Q5_0",
            Dtype::Q5_1 => "Q5_1",
            Dtype::Q8_0 => "Q8_0",
            Dtype::Q4_K => "Q4_K",
            Dtype::Q5_K => "Q5_K",
            Dtype::Q6_K => "Q6_K",
        }
    }

    /// In how many bits whole numbers of this type are held; `None` where numbers are not whole.
    pub const fn bits(self) -> Option<Bits> {
        match self {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => None,
            Dtype::Q4_0 | Dtype::Q4_1 | Dtype::Q4_K => Some(Bits::Four),
            Dtype::Q5_0 | Dtype::Q5_1 | Dtype::Q5_K | Dtype::Q6_K | Dtype::Q8_0 => {
                Some(Bits::Eight)
            }
        }
    }

    /// Numbers in a block; a row's length is a multiple of it.
    pub const fn block_len(self) -> usize {
        match self {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => 1,
            Dtype::Q4_0 | Dtype::Q4_1 | Dtype::Q5_0 | Dtype::Q5_1 | Dtype::Q8_0 => 32,
            Dtype::Q4_K | Dtype::Q5_K | Dtype::Q6_K => 256,
        }
    }

    /// Bytes in a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            Dtype::Q4_0 => 18,
            Dtype::Q4_1 => 20,
            Dtype::Q5_0 => 22,
            Dtype::Q5_1 => 24,
            Dtype::Q8_0 => 34,
            Dtype::Q4_K => 144,
            Dtype::Q5_K => 176,
            Dtype::Q6_K => 210,
        }
    }

    /// Bytes that `elements` numbers take, or `None` where they are no whole number of blocks or
    /// the product overflows.
    pub fn byte_len(self, elements: usize) -> Option<usize> {
        if !elements.is_multiple_of(self.block_len()) {
            return None;
        }
        (elements / self.block_len()).checked_mul(self.block_bytes())
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
