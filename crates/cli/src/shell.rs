//! Words as a shell reads them, for commands that are printed to be copied.

/// `text` as one word of a POSIX shell: as it is, or in single quotes where it needs them.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn only_words_that_need_them_get_quotes() {
        assert_eq!(word("checkpoints/runs/lama-p36"), "checkpoints/runs/lama-p36");
        assert_eq!(word("Côte d'Ivoire"), r"'Côte d'\''Ivoire'");
        assert_eq!(word("a;rm"), "'a;rm'");
        assert_eq!(word(""), "''");
    }
}
