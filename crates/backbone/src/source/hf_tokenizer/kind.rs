//! The kinds of tokenizer that folders without a tokenizer.json have, by transformers' names for them.

/// How a tokenizer is built from its files: one entry for each of transformers' classes that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerKind {
    /// SentencePiece unigram behind accents stripped and, by default, letters lowered.
    Albert,
    /// SentencePiece BPE with bytes for what it lacks; spaces are letters.
    Gemma,
    /// Byte-level BPE by GPT-2's pattern.
    Gpt2,
    /// The same behind NFC.
    GptNeoX,
    /// SentencePiece BPE with bytes for what it lacks.
    Llama,
    /// Byte-level BPE by a pattern of its own, behind NFC.
    Qwen2,
    /// GPT-2's with tokens that open and close a sequence.
    Roberta,
    /// SentencePiece unigram with sentinels behind the vocabulary.
    T5,
    /// BERT's WordPiece.
    WordPiece,
    /// SentencePiece unigram with ids as fairseq numbers them.
    XlmRoberta,
}

/// `tokenizer_class`, less an ending `Fast`, → kind.
const CLASSES: &[(&str, TokenizerKind)] = &[
    ("AlbertTokenizer", TokenizerKind::Albert),
    ("BertTokenizer", TokenizerKind::WordPiece),
    ("DistilBertTokenizer", TokenizerKind::WordPiece),
    ("ElectraTokenizer", TokenizerKind::WordPiece),
    ("GPT2Tokenizer", TokenizerKind::Gpt2),
    ("GPTNeoXTokenizer", TokenizerKind::GptNeoX),
    ("GemmaTokenizer", TokenizerKind::Gemma),
    ("LlamaTokenizer", TokenizerKind::Llama),
    ("Qwen2Tokenizer", TokenizerKind::Qwen2),
    ("RobertaTokenizer", TokenizerKind::Roberta),
    ("T5Tokenizer", TokenizerKind::T5),
    ("XLMRobertaTokenizer", TokenizerKind::XlmRoberta),
];

/// Classes that say nothing of what is in the files.
const GENERIC: [&str; 3] = ["PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"];

/// File of a WordPiece vocabulary.
pub const VOCAB_TXT: &str = "vocab.txt";
/// File of a byte-level BPE's tokens.
pub const VOCAB_JSON: &str = "vocab.json";
/// File of a byte-level BPE's merges.
pub const MERGES: &str = "merges.txt";
/// Names of SentencePiece models.
pub const SENTENCE_PIECE: [&str; 3] =
    ["spiece.model", "tokenizer.model", "sentencepiece.bpe.model"];

/// A role of a special token: its name, what it is called where no file says, and whether the
/// tokenizer cannot do without.
pub type Role = (&'static str, Option<&'static str>, bool);

impl TokenizerKind {
    /// The kind of a class, or `None` where the class says nothing.
    ///
    /// # Errors
    /// The known classes, where it is none of them.
    pub fn of_class(class: &str) -> Result<Option<Self>, Vec<&'static str>> {
        if GENERIC.contains(&class) {
            return Ok(None);
        }
        let plain = class.strip_suffix("Fast").unwrap_or(class);
        match CLASSES.iter().find(|(name, _)| *name == plain) {
            Some((_, kind)) => Ok(Some(*kind)),
            None => Err(CLASSES.iter().map(|(name, _)| *name).collect()),
        }
    }

    /// transformers' name.
    pub fn class(self) -> &'static str {
        match self {
            Self::Albert => "AlbertTokenizer",
            Self::Gemma => "GemmaTokenizer",
            Self::Gpt2 => "GPT2Tokenizer",
            Self::GptNeoX => "GPTNeoXTokenizer",
            Self::Llama => "LlamaTokenizer",
            Self::Qwen2 => "Qwen2Tokenizer",
            Self::Roberta => "RobertaTokenizer",
            Self::T5 => "T5Tokenizer",
            Self::WordPiece => "BertTokenizer",
            Self::XlmRoberta => "XLMRobertaTokenizer",
        }
    }

    /// The files that it is read from, for errors.
    pub fn expects(self) -> &'static str {
        match self {
            Self::WordPiece => "vocab.txt",
            Self::Gpt2 | Self::GptNeoX | Self::Qwen2 | Self::Roberta => "vocab.json and merges.txt",
            Self::Albert | Self::T5 => "spiece.model",
            Self::Gemma | Self::Llama => "tokenizer.model",
            Self::XlmRoberta => "sentencepiece.bpe.model",
        }
    }

    /// Special tokens, in the order in which transformers adds them.
    pub fn roles(self) -> [Role; 7] {
        let role = |name, usual: &'static str, needed| (name, Some(usual), needed);
        let none = |name| (name, None, false);
        let end = "<|endoftext|>";
        match self {
            Self::WordPiece => [
                none("bos_token"),
                none("eos_token"),
                role("unk_token", "[UNK]", true),
                role("sep_token", "[SEP]", true),
                role("pad_token", "[PAD]", true),
                role("cls_token", "[CLS]", true),
                role("mask_token", "[MASK]", true),
            ],
            Self::Albert => [
                role("bos_token", "[CLS]", false),
                role("eos_token", "[SEP]", false),
                role("unk_token", "<unk>", true),
                role("sep_token", "[SEP]", true),
                role("pad_token", "<pad>", false),
                role("cls_token", "[CLS]", true),
                role("mask_token", "[MASK]", true),
            ],
            Self::Roberta | Self::XlmRoberta => [
                role("bos_token", "<s>", false),
                role("eos_token", "</s>", false),
                role("unk_token", "<unk>", false),
                role("sep_token", "</s>", true),
                role("pad_token", "<pad>", false),
                role("cls_token", "<s>", true),
                role("mask_token", "<mask>", true),
            ],
            Self::Gpt2 | Self::GptNeoX | Self::Qwen2 => [
                if self == Self::Qwen2 { none("bos_token") } else { role("bos_token", end, false) },
                role("eos_token", end, false),
                role("unk_token", end, false),
                none("sep_token"),
                match self {
                    Self::Gpt2 => none("pad_token"),
                    Self::GptNeoX => role("pad_token", "<|padding|>", false),
                    _ => role("pad_token", end, false),
                },
                none("cls_token"),
                none("mask_token"),
            ],
            Self::Llama => [
                role("bos_token", "<s>", false),
                role("eos_token", "</s>", false),
                role("unk_token", "<unk>", true),
                none("sep_token"),
                none("pad_token"),
                none("cls_token"),
                none("mask_token"),
            ],
            Self::Gemma => [
                role("bos_token", "<bos>", false),
                role("eos_token", "<eos>", false),
                role("unk_token", "<unk>", true),
                none("sep_token"),
                role("pad_token", "<pad>", false),
                none("cls_token"),
                role("mask_token", "<mask>", false),
            ],
            Self::T5 => [
                none("bos_token"),
                role("eos_token", "</s>", true),
                role("unk_token", "<unk>", true),
                none("sep_token"),
                role("pad_token", "<pad>", false),
                none("cls_token"),
                none("mask_token"),
            ],
        }
    }

    /// Roles of the tokens that open and close a sequence, where nothing else is declared.
    ///
    /// transformers' documentation has Llama and Gemma open a sequence unless `add_bos_token` is
    /// false, which is how they were trained.
    pub fn surroundings(self) -> (Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Albert | Self::Roberta | Self::WordPiece | Self::XlmRoberta => {
                (Some("cls_token"), Some("sep_token"))
            }
            Self::Gemma | Self::Llama => (Some("bos_token"), None),
            Self::Gpt2 | Self::GptNeoX | Self::Qwen2 => (None, None),
            Self::T5 => (None, Some("eos_token")),
        }
    }

    /// Whether `add_bos_token` and `add_eos_token` say what opens and closes a sequence.
    pub fn heeds_flags(self) -> bool {
        matches!(self, Self::Gemma | Self::Gpt2 | Self::GptNeoX | Self::Llama | Self::Qwen2)
    }
}
