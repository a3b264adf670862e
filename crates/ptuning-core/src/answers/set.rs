//! Words that may answer, as sequences of tokens in a trie.

use std::collections::HashMap;

use crate::language_model::{LanguageModel, Tokenize};
use crate::template::{BindError, BoundTemplate};

/// Answers that cannot be scored or written whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswersError {
    /// Nothing may answer.
    #[error("there is no word that may answer")]
    Empty,
    /// A word of which the tokenizer leaves nothing.
    #[error("the answer '{0}' gives no token with this backbone's tokenizer\nhint: leave it out")]
    NoTokens(String),
    /// A decoder is asked for one token.
    #[error(
        "the answer '{word}' is {} tokens here ({}), and an encoder–decoder is asked for one\n\
         hint: leave out answers of several tokens, or take a causal or a masked language model",
        tokens.len(),
        tokens.join(" + ")
    )]
    OneToken {
        /// The word.
        word: String,
        /// Its tokens.
        tokens: Vec<String>,
    },
    /// An encoder–decoder was to write by itself.
    #[error(
        "an encoder–decoder is asked for one token and writes no answer by itself\n\
         hint: take a causal or a masked language model"
    )]
    NoGeneration,
    /// A causal model was asked for pseudo-likelihoods.
    #[error(
        "'pseudo-likelihood' masks tokens, but this is a causal language model\n\
         hint: leave it out: a causal model scores from left to right"
    )]
    NotMasked,
    /// The template leaves no room for an answer of so many tokens.
    #[error("with an answer of {tokens} tokens: {source}")]
    Bind {
        /// Tokens of the answer.
        tokens: usize,
        /// Why.
        #[source]
        source: BindError,
    },
}

/// Distinct token sequences that may answer where one template puts the answer.
///
/// Words of the same tokens are one answer, named by the first of them. Answers are numbered from 0 in
/// the order in which they were given.
#[derive(Debug, Clone)]
pub struct AnswerSet {
    answers: Vec<Vec<u32>>,
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
    /// From a node by a token to the next node.
    edges: HashMap<(usize, u32), usize>,
    /// Nodes of the trie, parents before children; the first is the root, where nothing is said yet.
    nodes: Vec<Node>,
}

/// What has been said so far: the tokens on the way from the root.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// The node that this one goes on from.
    pub parent: usize,
    /// The token that it adds.
    pub token: u32,
    /// Tokens so far.
    pub depth: usize,
    /// What may come next.
    pub children: Vec<usize>,
}

impl AnswerSet {
    /// Splits words as they stand where `template` puts the answer.
    ///
    /// # Errors
    /// No word at all, or one without tokens.
    pub fn new<'a>(
        words: impl IntoIterator<Item = &'a str>,
        template: &BoundTemplate,
        tokenizer: &dyn Tokenize,
    ) -> Result<Self, AnswersError> {
        let split = |word: &'a str| match tokenizer.ids(&template.answer_text(word)) {
            tokens if tokens.is_empty() => Err(AnswersError::NoTokens(word.to_owned())),
            tokens => Ok((word, tokens)),
        };
        let words = words.into_iter().map(split).collect::<Result<Vec<_>, _>>()?;
        if words.is_empty() {
            return Err(AnswersError::Empty);
        }
        Ok(Self::of_tokens(words).0)
    }

    /// The set of some words with their tokens, of which there are some, and the number of each.
    pub fn of_tokens<'a>(
        words: impl IntoIterator<Item = (&'a str, Vec<u32>)>,
    ) -> (Self, Vec<usize>) {
        let mut set = Self {
            answers: Vec::new(),
            texts: Vec::new(),
            numbers: HashMap::new(),
            edges: HashMap::new(),
            nodes: vec![Node::default()],
        };
        let mut at_node: HashMap<usize, usize> = HashMap::new();
        let mut numbers = Vec::new();
        for (word, tokens) in words {
            let node = tokens.iter().fold(0, |node, &token| set.child(node, token));
            let number = *at_node.entry(node).or_insert_with(|| {
                set.answers.push(tokens);
                set.texts.push(word.to_owned());
                set.answers.len() - 1
            });
            set.numbers.entry(word.to_owned()).or_insert(number);
            numbers.push(number);
        }
        (set, numbers)
    }

    /// The node behind `node` by `token`, made if it is new.
    fn child(&mut self, node: usize, token: u32) -> usize {
        if let Some(&child) = self.edges.get(&(node, token)) {
            return child;
        }
        let (child, depth) = (self.nodes.len(), self.nodes[node].depth + 1);
        self.nodes.push(Node { parent: node, token, depth, children: Vec::new() });
        self.nodes[node].children.push(child);
        self.edges.insert((node, token), child);
        child
    }

    /// How many answers there are.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether nothing may answer: never.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Tokens of the longest answer.
    pub fn longest(&self) -> usize {
        self.answers.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Number of the answer that a word stands for.
    pub fn number(&self, word: &str) -> Option<usize> {
        self.numbers.get(word).copied()
    }

    /// Tokens of each answer, by its number.
    pub fn tokens(&self) -> &[Vec<u32>] {
        &self.answers
    }

    /// Each answer as it was written first, by its number.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes on the way of some tokens, without the root.
    pub(super) fn path<'a>(&'a self, tokens: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
        tokens.iter().scan(0, move |node, &token| {
            *node = *self.edges.get(&(*node, token))?;
            Some(*node)
        })
    }

    /// Refuses answers that this language model cannot be asked for.
    ///
    /// # Errors
    /// Several tokens of an encoder–decoder.
    pub fn check(
        &self,
        lm: &dyn LanguageModel,
        tokenizer: &dyn Tokenize,
    ) -> Result<(), AnswersError> {
        let several = self.answers.iter().position(|tokens| tokens.len() > 1);
        match several {
            Some(number) if lm.answers_in_one_token() => {
                let token = |&id: &u32| tokenizer.token(id).unwrap_or_else(|| id.to_string());
                let tokens = self.answers[number].iter().map(token).collect();
                Err(AnswersError::OneToken { word: self.texts[number].clone(), tokens })
            }
            _ => Ok(()),
        }
    }
}

/// The same template for a language model of `max_positions`, with room for an answer of so many tokens:
/// its inputs are shortened, or refused, so that the answer fits.
///
/// # Errors
/// Fixed parts that leave no such room.
pub fn with_room(
    template: &BoundTemplate,
    tokenizer: &dyn Tokenize,
    max_positions: usize,
    tokens: usize,
) -> Result<BoundTemplate, AnswersError> {
    let max = max_positions.saturating_sub(tokens.saturating_sub(1));
    BoundTemplate::bind(template.template().clone(), tokenizer, template.objective(), max)
        .map_err(|source| AnswersError::Bind { tokens, source })
}
