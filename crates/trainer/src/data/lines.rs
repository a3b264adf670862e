//! Lines of text files, with their numbers.

use std::path::Path;

use super::DataError;

/// The lines of a UTF-8 file that are not blank, each with its number from 1, without line ends,
/// byte order mark and surrounding blanks.
///
/// # Errors
///
/// If the file cannot be read, is not UTF-8 or has no such line.
pub(crate) fn read(path: &Path) -> Result<Vec<(usize, String)>, DataError> {
    let bytes =
        std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut lines = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        let text = std::str::from_utf8(line).map_err(|error| DataError::NotUtf8 {
            path: path.to_owned(),
            line: number,
            byte: error.valid_up_to() + 1,
        })?;
        let text = text.trim();
        if !text.is_empty() {
            lines.push((number, text.to_owned()));
        }
    }
    if lines.is_empty() {
        return Err(DataError::EmptyFile { path: path.to_owned() });
    }
    Ok(lines)
}
