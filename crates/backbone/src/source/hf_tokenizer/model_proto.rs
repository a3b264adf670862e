//! The few fields of a SentencePiece model that a tokenizer needs.
//!
//! A model is a protocol buffer, `ModelProto` of SentencePiece's `sentencepiece_model.proto`. What is
//! read here: pieces with score and type, the algorithm, the unknown piece, and the character map. The
//! reader knows its byte and never reads past the end of a message.

use std::str;

use crate::tokenizer::TokenizerError;

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceType {
    /// Text.
    Normal,
    /// What stands for text that has no piece.
    Unknown,
    /// Stands for no text, such as `<s>`.
    Control,
    /// Matched whole before anything else.
    UserDefined,
    /// Kept for its id.
    Unused,
    /// One byte, written `<0x0A>`.
    Byte,
}

/// One entry of the vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece<'a> {
    /// Its text, with `▁` for a space.
    pub text: &'a str,
    /// Its log probability, or the negative of its rank.
    pub score: f32,
    /// What it is.
    pub kind: PieceType,
}

/// How text is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// By the most probable sequence of pieces.
    Unigram,
    /// By merging neighbours.
    Bpe,
    /// By white space.
    Word,
    /// By character.
    Char,
}

impl Algorithm {
    /// Its name in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unigram => "unigram",
            Self::Bpe => "BPE",
            Self::Word => "word",
            Self::Char => "char",
        }
    }
}

/// A SentencePiece model.
#[derive(Debug)]
pub struct ModelProto<'a> {
    /// The vocabulary; a piece's place is its id.
    pub pieces: Vec<Piece<'a>>,
    /// How text is cut.
    pub algorithm: Algorithm,
    /// Id of the unknown piece.
    pub unknown: usize,
    /// Whether `▁` ends a word in place of beginning one.
    pub whitespace_as_suffix: bool,
    /// The compiled character map; empty where characters stay as they are.
    pub charsmap: &'a [u8],
}

impl<'a> ModelProto<'a> {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`TokenizerError::SentencePiece`] with the byte where it stops being a model.
    pub fn read(bytes: &'a [u8]) -> Result<Self, TokenizerError> {
        let mut model = Self {
            pieces: Vec::new(),
            algorithm: Algorithm::Unigram,
            unknown: 0,
            whitespace_as_suffix: false,
            charsmap: &[],
        };
        let mut reader = Reader { bytes, at: 0, end: bytes.len() };
        while let Some((field, value)) = reader.field()? {
            match (field, value) {
                (1, Value::Bytes(message)) => model.pieces.push(piece(message)?),
                (2, Value::Bytes(message)) => model.trainer(message)?,
                (3, Value::Bytes(message)) => model.normalizer(message)?,
                (1..=3, _) => return Err(reader.wrong("a message")),
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err(reader.wrong("pieces"));
        }
        if model.unknown >= model.pieces.len() {
            return Err(reader.wrong("an unknown piece among the pieces"));
        }
        Ok(model)
    }

    /// `TrainerSpec`.
    fn trainer(&mut self, mut reader: Reader<'a>) -> Result<(), TokenizerError> {
        while let Some((field, value)) = reader.field()? {
            match (field, value) {
                (3, Value::Number(number)) => {
                    self.algorithm = match number {
                        1 => Algorithm::Unigram,
                        2 => Algorithm::Bpe,
                        3 => Algorithm::Word,
                        4 => Algorithm::Char,
                        _ => return Err(reader.wrong("an algorithm from 1 to 4")),
                    }
                }
                (24, Value::Number(number)) => self.whitespace_as_suffix = number != 0,
                (40, Value::Number(number)) => {
                    self.unknown = usize::try_from(number).map_err(|_| reader.wrong("an id"))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `NormalizerSpec`.
    fn normalizer(&mut self, mut reader: Reader<'a>) -> Result<(), TokenizerError> {
        while let Some((field, value)) = reader.field()? {
            if let (2, Value::Bytes(map)) = (field, value) {
                self.charsmap = &map.bytes[map.at..map.end];
            }
        }
        Ok(())
    }
}

/// `SentencePiece`.
fn piece(mut reader: Reader<'_>) -> Result<Piece<'_>, TokenizerError> {
    let mut piece = Piece { text: "", score: 0.0, kind: PieceType::Normal };
    while let Some((field, value)) = reader.field()? {
        match (field, value) {
            (1, Value::Bytes(text)) => {
                piece.text = str::from_utf8(&text.bytes[text.at..text.end])
                    .map_err(|_| text.wrong("UTF-8"))?;
            }
            (2, Value::Fixed(bits)) => piece.score = f32::from_bits(bits),
            (3, Value::Number(number)) => {
                piece.kind = match number {
                    1 => PieceType::Normal,
                    2 => PieceType::Unknown,
                    3 => PieceType::Control,
                    4 => PieceType::UserDefined,
                    5 => PieceType::Unused,
                    6 => PieceType::Byte,
                    _ => return Err(reader.wrong("a type of piece from 1 to 6")),
                }
            }
            _ => {}
        }
    }
    // An empty piece would match everywhere, and a score that is no number nowhere.
    if piece.text.is_empty() || !piece.score.is_finite() {
        return Err(reader.wrong("a piece with a text and a score"));
    }
    Ok(piece)
}

/// What a field holds.
enum Value<'a> {
    Number(u64),
    Fixed(u32),
    Bytes(Reader<'a>),
    Other,
}

/// A message that is read field by field.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// The next field, or `None` at the end.
    fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, TokenizerError> {
        if self.at == self.end {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Other
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| self.wrong("a length"))?;
                let message = self.take(length)?;
                Value::Bytes(message)
            }
            5 => {
                let four = self.take(4)?;
                let bytes = four.bytes[four.at..four.end].try_into().unwrap_or_default();
                Value::Fixed(u32::from_le_bytes(bytes))
            }
            _ => return Err(self.wrong("a field of a known type")),
        };
        match tag >> 3 {
            0 => Err(self.wrong("a field's number")),
            field => Ok(Some((field, value))),
        }
    }

    fn varint(&mut self) -> Result<u64, TokenizerError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?;
            let byte = byte.bytes[byte.at];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.wrong("a number of at most ten bytes"))
    }

    /// The next bytes as a message of their own.
    fn take(&mut self, length: usize) -> Result<Self, TokenizerError> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.end);
        let end = end.ok_or_else(|| self.wrong("more bytes"))?;
        let taken = Self { end, ..*self };
        self.at = end;
        Ok(taken)
    }

    fn wrong(&self, expected: &'static str) -> TokenizerError {
        TokenizerError::SentencePiece { at: self.at, expected }
    }
}
