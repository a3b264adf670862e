//! WordNet's database, as `wordnet-base` of Debian and Princeton's own archives install it.
//!
//! The format is that of `wndb(5WN)`: `index.POS` says at which bytes of `data.POS` the senses of a word
//! stand, and a line there holds the words of a sense and pointers to other senses.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use super::KnowledgeError;
use crate::settings::Labels;

/// Files of the four parts of speech, and the letters that pointers have for them.
const PARTS: [(&str, &[u8]); 4] = [("noun", b"n"), ("verb", b"v"), ("adj", b"as"), ("adv", b"r")];

/// Pointers to what means nearly the same or is a kind of it: similar, see also, derived from, pertaining to,
/// kinds and instances, attributes, and the words of a domain.
const NEAR: [&str; 11] = ["&", "^", "+", "\\", "~", "~i", "=", "-c", "-r", "-u", "$"];

/// Pointers that words are followed along from a label's own.
const FAR: usize = 3;

/// Words are no longer looked for once so many are found.
const ENOUGH: usize = 2_000;

/// Where WordNet lies: `WNSEARCHDIR`, `WNHOME`, and where systems put it.
pub fn folder() -> Result<PathBuf, KnowledgeError> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let given = [variable("WNSEARCHDIR"), variable("WNHOME").map(|home| home.join("dict"))];
    let usual =
        ["/usr/share/wordnet", "/usr/local/WordNet-3.0/dict", "/opt/homebrew/opt/wordnet/dict"];
    let folders: Vec<PathBuf> =
        given.into_iter().flatten().chain(usual.map(PathBuf::from)).collect();
    let holds = |folder: &&PathBuf| folder.join("data.noun").is_file();
    folders.iter().find(holds).cloned().ok_or_else(|| KnowledgeError::NoWordNet {
        tried: folders.iter().map(|folder| folder.display().to_string()).collect(),
    })
}

/// The words near to each label's own, nearest first.
pub fn related(folder: &Path, labels: &Labels) -> Result<Vec<Vec<String>>, KnowledgeError> {
    let database = Database::open(folder)?;
    labels.iter().map(|(_, own)| database.near(own)).collect()
}

struct Database {
    parts: Vec<Part>,
}

/// One part of speech.
struct Part {
    file: PathBuf,
    data: Vec<u8>,
    /// Word → places of its senses, the most usual first.
    index: HashMap<String, Vec<usize>>,
}

/// A sense: which part of speech, and where its line begins.
type Sense = (usize, usize);

impl Database {
    fn open(folder: &Path) -> Result<Self, KnowledgeError> {
        let read = |name: String| {
            let file = folder.join(name);
            let bytes = std::fs::read(&file);
            bytes
                .map(|bytes| (file.clone(), bytes))
                .map_err(|source| KnowledgeError::Read { file, source })
        };
        let part = |(part, _): &(&str, &[u8])| {
            let (index_file, index) = read(format!("index.{part}"))?;
            let (file, data) = read(format!("data.{part}"))?;
            let index = self::index(&index_file, &index)?;
            Ok::<_, KnowledgeError>(Part { file, data, index })
        };
        Ok(Self { parts: PARTS.iter().map(part).collect::<Result<_, _>>()? })
    }

    /// Words near to some words, breadth first; the words themselves are left out.
    fn near(&self, own: &[String]) -> Result<Vec<String>, KnowledgeError> {
        let (mut found, mut known) = (Vec::new(), HashSet::<String>::new());
        known.extend(own.iter().map(|word| word.to_lowercase()));
        let mut queue: VecDeque<(Sense, usize)> = VecDeque::new();
        for word in own {
            let word = word.to_lowercase().replace(' ', "_");
            for (number, part) in self.parts.iter().enumerate() {
                let senses = part.index.get(&word).into_iter().flatten();
                queue.extend(senses.map(|&at| ((number, at), 0)));
            }
        }
        let mut seen: HashSet<Sense> = queue.iter().map(|(sense, _)| *sense).collect();
        while let Some((sense, steps)) = queue.pop_front() {
            if found.len() >= ENOUGH {
                break;
            }
            let (words, pointers) = self.sense(sense)?;
            for word in words.into_iter().filter(|word| !word.contains('_')) {
                if known.insert(word.to_lowercase()) {
                    found.push(word);
                }
            }
            if steps < FAR {
                let new = pointers.into_iter().filter(|&next| seen.insert(next));
                queue.extend(new.map(|next| (next, steps + 1)));
            }
        }
        Ok(found)
    }

    /// Words of a sense, and the senses that it points to.
    fn sense(&self, (part, at): Sense) -> Result<(Vec<String>, Vec<Sense>), KnowledgeError> {
        let Part { file, data, .. } = &self.parts[part];
        let wrong = || KnowledgeError::WordNet { file: file.clone(), at };
        let line = data.get(at..).and_then(|rest| rest.split(|&byte| byte == b'\n').next());
        let line = line.and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(wrong)?;
        let mut fields = line.split(' ').skip(3);
        let mut next = || fields.next().ok_or_else(wrong);
        let count = usize::from_str_radix(next()?, 16).map_err(|_| wrong())?;
        let mut words = Vec::new();
        for _ in 0..count {
            // `beautiful(p)`: where an adjective may stand.
            let word = next()?.split('(').next().unwrap_or_default();
            words.push(word.to_owned());
            next()?;
        }
        let count: usize = next()?.parse().map_err(|_| wrong())?;
        let mut senses = Vec::new();
        for _ in 0..count {
            let (symbol, place, letter) = (next()?, next()?, next()?);
            next()?;
            let letter = letter.as_bytes().first().copied().unwrap_or_default();
            let part = PARTS.iter().position(|(_, letters)| letters.contains(&letter));
            if NEAR.contains(&symbol) {
                senses.push((part.ok_or_else(wrong)?, place.parse().map_err(|_| wrong())?));
            }
        }
        Ok((words, senses))
    }
}

fn index(file: &Path, bytes: &[u8]) -> Result<HashMap<String, Vec<usize>>, KnowledgeError> {
    let mut index = HashMap::new();
    let mut at = 0;
    for line in bytes.split(|&byte| byte == b'\n') {
        let start = at;
        at += line.len() + 1;
        // The licence stands in front, indented.
        if line.is_empty() || line.starts_with(b" ") {
            continue;
        }
        let wrong = || KnowledgeError::WordNet { file: file.to_owned(), at: start };
        let line = std::str::from_utf8(line).map_err(|_| wrong())?;
        // lemma pos synset_cnt p_cnt [symbol…] sense_cnt tagsense_cnt offset…
        let fields: Vec<&str> = line.split_whitespace().collect();
        let count: usize = fields.get(2).and_then(|field| field.parse().ok()).ok_or_else(wrong)?;
        let first = fields.len().checked_sub(count).ok_or_else(wrong)?;
        let senses = fields[first..].iter().map(|field| field.parse().map_err(|_| wrong()));
        index.insert(fields[0].to_owned(), senses.collect::<Result<_, _>>()?);
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of a few words, each line of `data.adj` at the place that `index.adj` says.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        for part in ["noun", "verb", "adv"] {
            write(&format!("index.{part}"), "  1 a licence\n");
            write(&format!("data.{part}"), "  1 a licence\n");
        }
        let lines = [
            "00 s 02 great 0 outstanding(p) 0 001 & {1} a 0000 | of major significance\n",
            "00 s 02 fine 0 all_right 0 002 & {0} a 0000 ! {2} a 0000 | of good quality\n",
            "00 s 01 awful 0 001 ! {1} a 0000 | bad\n",
        ];
        let (mut places, mut at) = (Vec::new(), 0);
        for line in lines {
            places.push(format!("{at:08}"));
            at += 9 + line.replace("{1}", "00000000").replace("{0}", "00000000").len();
            at += line.matches("{2}").count() * 5;
        }
        let mut data = String::new();
        for (line, place) in lines.iter().zip(&places) {
            let mut line = format!("{place} {line}");
            for (number, place) in places.iter().enumerate() {
                line = line.replace(&format!("{{{number}}}"), place);
            }
            data += &line;
        }
        write("data.adj", &data);
        let index = [("great", 0), ("outstanding", 0), ("fine", 1), ("awful", 2)]
            .map(|(word, sense)| format!("{word} a 1 1 & 1 1 {}  \n", places[sense]));
        write("index.adj", &index.concat());
        folder
    }

    #[test]
    fn near_words_are_found_nearest_first_and_opposites_are_not() {
        let labels = vec![
            ("good".to_owned(), vec!["Great".to_owned()]),
            ("bad".to_owned(), vec!["awful".to_owned()]),
            ("unknown".to_owned(), vec!["flibbertigibbet".to_owned()]),
        ];
        let found = related(folder().path(), &labels).unwrap();
        assert_eq!(found[0], ["outstanding", "fine"]);
        assert!(found[1].is_empty() && found[2].is_empty(), "{found:?}");
    }

    /// Where WordNet is installed; with `PTUNE_REQUIRE_REAL=1` its absence is a failure.
    #[test]
    fn wordnet_itself_is_read() {
        let Ok(folder) = super::folder() else {
            let required = std::env::var_os("PTUNE_REQUIRE_REAL").is_some_and(|asked| asked == "1");
            assert!(!required, "PTUNE_REQUIRE_REAL=1, but WordNet is not installed");
            return;
        };
        let labels = vec![("positive".to_owned(), vec!["great".to_owned()])];
        let found = related(&folder, &labels).unwrap().remove(0);
        assert!(found.len() > 100 && found.iter().all(|word| !word.contains(['_', '('])));
        let at = |word: &str| found.iter().position(|found| found == word);
        // In the same sense first, further away later, opposites never.
        assert!(at("outstanding").unwrap() < at("extraordinary").unwrap(), "{found:?}");
        assert_eq!(at("great"), None);
    }

    #[test]
    fn a_damaged_database_is_named_with_the_byte() {
        let folder = folder();
        std::fs::write(folder.path().join("data.adj"), "nonsense\n").unwrap();
        let labels = vec![("good".to_owned(), vec!["great".to_owned()])];
        let error = related(folder.path(), &labels).unwrap_err().to_string();
        assert!(error.ends_with("data.adj: byte 0: not a line of WordNet's database"), "{error}");
    }
}
