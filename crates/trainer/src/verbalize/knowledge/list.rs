//! A plain file of related words: `label: word, word, …` on each line, blank lines and `#` comments apart.

use std::path::Path;

use super::KnowledgeError;
use crate::data::lines;
use crate::settings::{Labels, nearest};

/// The words of each label, in the order of the file; a label may have several lines.
pub fn related(path: &Path, labels: &Labels) -> Result<Vec<Vec<String>>, KnowledgeError> {
    let file = || path.to_owned();
    let mut related: Vec<Vec<String>> = vec![Vec::new(); labels.len()];
    for (line, text) in lines::read(path)? {
        if text.starts_with('#') {
            continue;
        }
        let Some((label, words)) = text.split_once(':') else {
            return Err(KnowledgeError::Line { file: file(), line, found: text });
        };
        let label = label.trim();
        let Some(number) = labels.iter().position(|(name, _)| name == label) else {
            let near = nearest(label, labels.iter().map(|(name, _)| name.as_str()));
            let hint = near.map(|near| format!("\nhint: did you mean '{near}'?"));
            let (found, hint) = (label.to_owned(), hint.unwrap_or_default());
            return Err(KnowledgeError::Label { file: file(), line, found, hint });
        };
        for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            if !related[number].iter().any(|known| known == word) {
                related[number].push(word.to_owned());
            }
        }
    }
    Ok(related)
}
