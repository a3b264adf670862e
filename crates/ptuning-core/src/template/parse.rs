//! Reading a template, one character at a time so that every error knows its column.

use super::error::{TemplateError, TemplateErrorKind as Kind};
use super::segments::{Count, Segment, SegmentKind, Shorten, Template};

/// More virtual tokens than any language model has positions for is a typing error.
const MAX_COUNT: usize = 1024;

pub(super) fn parse(text: &str) -> Result<Template, TemplateError> {
    let mut parser = Parser { chars: text.chars().collect(), at: 0, source: text };
    let mut segments = Vec::new();
    let mut literal = String::new();
    let mut literal_column = 1;
    while let Some(c) = parser.peek() {
        let column = parser.column();
        match c {
            '[' => {
                if !literal.is_empty() {
                    segments.push(Segment {
                        kind: SegmentKind::Literal(std::mem::take(&mut literal)),
                        column: literal_column,
                    });
                }
                segments.push(Segment { kind: parser.slot()?, column });
                literal_column = parser.column();
            }
            ']' => return Err(parser.error(column, Kind::Unopened)),
            '\\' => literal.push(parser.escape()?),
            _ => {
                literal.push(c);
                parser.at += 1;
            }
        }
    }
    if !literal.is_empty() {
        segments.push(Segment { kind: SegmentKind::Literal(literal), column: literal_column });
    }
    check(text, &segments)?;
    Ok(Template { segments, source: text.to_owned() })
}

/// What no single segment can tell: one answer, a prefix in front and alone, ties of one length.
fn check(text: &str, segments: &[Segment]) -> Result<(), TemplateError> {
    let error = |column, kind| TemplateError { source_text: text.to_owned(), column, kind };
    if text.trim().is_empty() {
        return Err(error(1, Kind::Empty));
    }
    let mut answers = segments.iter().filter(|s| s.kind == SegmentKind::Answer);
    let end = text.chars().count() + 1;
    let first = answers.next().ok_or_else(|| error(end, Kind::NoAnswer))?;
    if let Some(second) = answers.next() {
        return Err(error(second.column, Kind::SecondAnswer { first: first.column }));
    }
    let mut prefixes = segments.iter().filter(|s| matches!(s.kind, SegmentKind::Prefix { .. }));
    if let Some(prefix) = prefixes.next() {
        if prefix.column > 1 {
            return Err(error(prefix.column, Kind::PrefixInside));
        }
        let second = segments.iter().skip(1).find(|segment| {
            matches!(segment.kind, SegmentKind::Prefix { .. } | SegmentKind::Virtual { .. })
        });
        if let Some(second) = second {
            return Err(error(second.column, Kind::BesidePrefix));
        }
    }
    let mut ties: Vec<(&str, &Count, usize)> = Vec::new();
    for segment in segments {
        let SegmentKind::Virtual { count, tie: Some(tie) } = &segment.kind else {
            continue;
        };
        match ties.iter().find(|(name, ..)| name == tie) {
            // Words are counted in tokens, which only a tokenizer knows.
            Some((_, Count::Number(expected), first)) => {
                if let Count::Number(found) = count
                    && found != expected
                {
                    return Err(error(
                        segment.column,
                        Kind::TieLength {
                            tie: tie.clone(),
                            first: *first,
                            expected: expected.to_string(),
                            found: found.to_string(),
                        },
                    ));
                }
            }
            Some(_) => {}
            None => ties.push((tie, count, segment.column)),
        }
    }
    Ok(())
}

struct Parser<'a> {
    chars: Vec<char>,
    at: usize,
    source: &'a str,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn column(&self) -> usize {
        self.at + 1
    }

    fn error(&self, column: usize, kind: Kind) -> TemplateError {
        TemplateError { source_text: self.source.to_owned(), column, kind }
    }

    fn escape(&mut self) -> Result<char, TemplateError> {
        let column = self.column();
        self.at += 1;
        match self.peek() {
            Some(c @ ('[' | ']' | '\\')) => {
                self.at += 1;
                Ok(c)
            }
            Some(found) => Err(self.error(column, Kind::BadEscape { found })),
            None => Err(self.error(column, Kind::LoneBackslash)),
        }
    }

    /// Everything between `[` and `]`.
    fn slot(&mut self) -> Result<SegmentKind, TemplateError> {
        let open = self.column();
        self.at += 1;
        let head = self.take_while(|c| !matches!(c, ':' | '=' | '@' | '|' | ']' | '['));
        let kind = match head.as_str() {
            "x" => self.input()?,
            "z" => SegmentKind::Answer,
            "h" => self.virtual_tokens()?,
            "prefix" => {
                self.eat(':');
                SegmentKind::Prefix { count: self.count()? }
            }
            _ => {
                let rest = self.take_while(|c| !matches!(c, ']' | '['));
                if self.peek() != Some(']') {
                    return Err(self.error(open, Kind::Unclosed));
                }
                return Err(self.error(open, Kind::UnknownSlot { found: head + &rest }));
            }
        };
        match self.peek() {
            Some(']') => {
                self.at += 1;
                Ok(kind)
            }
            Some('[') | None => Err(self.error(open, Kind::Unclosed)),
            Some(_) => {
                let found: String = self.chars[open..].iter().take_while(|&&c| c != ']').collect();
                Err(self.error(open, Kind::UnknownSlot { found }))
            }
        }
    }

    fn input(&mut self) -> Result<SegmentKind, TemplateError> {
        let field = if self.eat(':') { self.name()? } else { "x".to_owned() };
        let shorten = if self.eat('|') {
            let column = self.column();
            let word = self.take_while(|c| !matches!(c, ']' | '['));
            Some(match word.as_str() {
                "head" => Shorten::Head,
                "tail" => Shorten::Tail,
                _ => return Err(self.error(column, Kind::BadShorten { found: word })),
            })
        } else {
            None
        };
        Ok(SegmentKind::Input { field, shorten })
    }

    fn virtual_tokens(&mut self) -> Result<SegmentKind, TemplateError> {
        let count = if self.eat('=') {
            Count::Words(self.quoted()?)
        } else if self.eat(':') {
            Count::Number(self.count()?)
        } else {
            Count::Number(1)
        };
        let tie = if self.eat('@') { Some(self.name()?) } else { None };
        Ok(SegmentKind::Virtual { count, tie })
    }

    fn count(&mut self) -> Result<usize, TemplateError> {
        let column = self.column();
        let found = self.take_while(|c| !matches!(c, '@' | ']' | '['));
        match found.parse() {
            Ok(n @ 1..=MAX_COUNT) => Ok(n),
            _ => Err(self.error(column, Kind::BadCount { found, max: MAX_COUNT })),
        }
    }

    fn quoted(&mut self) -> Result<String, TemplateError> {
        let open = self.column();
        if !self.eat('\'') {
            return Err(self.error(open, Kind::UnclosedQuote));
        }
        let mut words = String::new();
        loop {
            match self.peek() {
                Some('\'') => break,
                Some('\\') if matches!(self.chars.get(self.at + 1), Some('\'' | '\\')) => {
                    words.push(self.chars[self.at + 1]);
                    self.at += 2;
                }
                Some(c) => {
                    words.push(c);
                    self.at += 1;
                }
                None => return Err(self.error(open, Kind::UnclosedQuote)),
            }
        }
        self.at += 1;
        if words.trim().is_empty() {
            return Err(self.error(open, Kind::NoWords));
        }
        Ok(words)
    }

    fn name(&mut self) -> Result<String, TemplateError> {
        let column = self.column();
        let name = self.take_while(|c| !matches!(c, '|' | ']' | '[' | '@'));
        let good = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(good) {
            return Err(self.error(column, Kind::BadName { found: name }));
        }
        Ok(name)
    }

    fn eat(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        self.at += usize::from(found);
        found
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&keep) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }
}
