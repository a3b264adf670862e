//! A text of one passage a line, read as a stream.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::DataError;

/// What gzip files begin with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The lines of a plain or gzipped file that are not blank, without blanks around them.
///
/// # Errors
///
/// If the file cannot be opened; of a line, if it cannot be read or is not UTF-8.
pub fn passages(path: &Path) -> Result<impl Iterator<Item = Result<String, DataError>>, DataError> {
    let owned = path.to_owned();
    let failed = move |source| DataError::Read { path: owned.clone(), source };
    let mut file = BufReader::new(File::open(path).map_err(&failed)?);
    let packed = file.fill_buf().map_err(&failed)?.starts_with(&GZIP);
    let reader: Box<dyn Read> =
        if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let path = path.to_owned();
    let text = move |(index, line): (usize, std::io::Result<Vec<u8>>)| {
        let line = match line {
            Ok(line) => line,
            Err(source) => return Some(Err(failed(source))),
        };
        match std::str::from_utf8(&line).map(str::trim) {
            Ok("") => None,
            Ok(text) => Some(Ok(text.to_owned())),
            Err(error) => {
                let (path, byte) = (path.clone(), error.valid_up_to() + 1);
                Some(Err(DataError::NotUtf8 { path, line: index + 1, byte }))
            }
        }
    };
    Ok(BufReader::new(reader).split(b'\n').enumerate().filter_map(text))
}
