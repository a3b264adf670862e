//! OptiPrompt's vectors: an array that `numpy.save` wrote, `[vectors, hidden]`.
//!
//! The file holds the rows of all ten tokens `[V1]` … `[V10]` that its code adds, of which a template may use fewer,
//! the first ones. Format: `numpy/lib/format.py`.

use std::path::Path;

use super::{ImportError, Vectors};
use crate::error::Error;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// # Errors
/// Another file, or an array of other numbers or dimensions.
pub fn read(file: &Path) -> Result<Vectors, Error> {
    let bytes = std::fs::read(file).map_err(Error::io(file, "read"))?;
    let array = parsed(&bytes).map_err(|found| ImportError::Unknown {
        file: file.to_owned(),
        expected: "an array of numpy's, of two dimensions, in little-endian f4 or f8",
        found,
    })?;
    let (found, numbers) = array;
    Ok(Vectors {
        kind: "OptiPrompt's vectors".to_owned(),
        numbers,
        found,
        spare: true,
        order: None,
        template: None,
    })
}

/// Rows and numbers, or what was found in their place.
fn parsed(bytes: &[u8]) -> Result<(usize, Vec<f32>), String> {
    let cut = || "a file that is cut short".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or("another kind of file")?;
    let (&[version, _], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = match version {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        _ => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = String::from_utf8_lossy(header);
    let numbers: Vec<f32> = match value(&header, "descr").trim_matches(['\'', '"']) {
        "<f4" => data.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
        "<f8" => {
            data.as_chunks::<8>().0.iter().map(|eight| f64::from_le_bytes(*eight) as f32).collect()
        }
        other => return Err(format!("numbers of the type {other}")),
    };
    if value(&header, "fortran_order") != "False" {
        return Err("an array in the order of columns".to_owned());
    }
    let shape = value(&header, "shape");
    let sizes: Vec<usize> = shape
        .trim_matches(['(', ')'])
        .split(',')
        .filter_map(|size| size.trim().parse().ok())
        .collect();
    match sizes.as_slice() {
        [rows, width] if rows.checked_mul(*width) == Some(numbers.len()) => Ok((*rows, numbers)),
        [_, _] => Err(cut()),
        _ => Err(format!("an array of the shape {shape}")),
    }
}

/// The text of a key's value in the header, a literal dict of Python's.
fn value<'a>(header: &'a str, key: &str) -> &'a str {
    let Some((_, behind)) = header.split_once(&format!("'{key}':")) else { return "" };
    let behind = behind.trim_start();
    let end = match behind.find(')') {
        Some(end) if behind.starts_with('(') => end + 1,
        _ => behind.find([',', '}']).unwrap_or(behind.len()),
    };
    behind[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn arrays_of_numpys_are_read() {
        let four: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(parsed(&file("<f4", "(2, 2)", &four)).unwrap(), (2, vec![1.0, 2.0, 3.0, 4.0]));
        let eight: Vec<u8> = [0.5f64, -1.5].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(parsed(&file("<f8", "(1, 2)", &eight)).unwrap(), (1, vec![0.5, -1.5]));
        for (bytes, word) in [
            (file("<i4", "(2, 2)", &four), "type <i4"),
            (file("<f4", "(4,)", &four), "shape (4,)"),
            (file("<f4", "(2, 3)", &four), "cut short"),
            (b"PK\x03\x04".to_vec(), "another kind"),
        ] {
            let found = parsed(&bytes).unwrap_err();
            assert!(found.contains(word), "{found}");
        }
        let whole = file("<f4", "(2, 2)", &four);
        for length in 0..whole.len() {
            assert!(parsed(&whole[..length]).is_err(), "cut to {length}");
        }
    }
}
