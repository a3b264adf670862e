//! What a model's README.md says about its licence.

use std::fs;
use std::path::Path;

/// The licence of the model in a folder, as its README.md states it, or `None` where it does not.
///
/// Hugging Face's README.md begins with YAML between two lines of hyphens; its key `license` has an
/// SPDX identifier in lower case, a list of them, or `other` with the name in `license_name`.
pub fn licence(folder: &Path) -> Option<String> {
    // Whatever the rest of the file holds, its beginning is text.
    let bytes = fs::read(folder.join("README.md")).ok()?;
    in_front_matter(&String::from_utf8_lossy(&bytes))
}

fn in_front_matter(text: &str) -> Option<String> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let lines: Vec<&str> = lines.take_while(|line| line.trim_end() != "---").collect();
    match value(&lines, "license")? {
        other if other == "other" => Some(value(&lines, "license_name").unwrap_or(other)),
        licence => Some(licence),
    }
}

/// The text of a key at the margin, a list's items being joined.
fn value(lines: &[&str], key: &str) -> Option<String> {
    let behind = |line: &&str| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().to_owned());
    let at = lines.iter().position(|line| behind(line).is_some())?;
    let first = behind(&lines[at])?;
    let items: Vec<String> = if first.is_empty() {
        let items = lines[at + 1..].iter().map_while(|line| line.trim_start().strip_prefix("- "));
        items.map(plain).collect()
    } else {
        first.trim_matches(['[', ']']).split(',').map(plain).collect()
    };
    let items: Vec<String> = items.into_iter().filter(|item| !item.is_empty()).collect();
    (!items.is_empty()).then(|| items.join(", "))
}

/// A scalar without quotes, and not for ever.
fn plain(text: &str) -> String {
    let text = text.trim().trim_matches(['"', '\'']);
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_found_in_front_matter_alone() {
        let licence = |text: &str| in_front_matter(text);
        assert_eq!(licence("---\ntags: [x]\nlicense: apache-2.0\n---\n").unwrap(), "apache-2.0");
        assert_eq!(licence("---\r\nlicense: 'mit'\r\n---\r\n").unwrap(), "mit");
        assert_eq!(
            licence("---\nlicense:\n- mit\n- cc0-1.0\ntags:\n- x\n---").unwrap(),
            "mit, cc0-1.0"
        );
        assert_eq!(licence("---\nlicense: [mit, gpl]\n---").unwrap(), "mit, gpl");
        assert_eq!(licence("---\nlicense: other\nlicense_name: llama3\n---").unwrap(), "llama3");
        assert_eq!(licence("---\nlicense: other\n---").unwrap(), "other");
        for none in [
            "",
            "license: mit",
            "---\nlicense:\n---",
            "---\nx: 1\n---\nlicense: mit",
            "---\n license: mit\n---",
        ] {
            assert_eq!(licence(none), None, "{none}");
        }
    }
}
