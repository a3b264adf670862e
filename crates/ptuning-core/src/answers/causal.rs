//! Whole answers of a causal language model.
//!
//! One pass over the inputs of a batch tells what may come first, and what the right answers score. One
//! more for each input goes on with the answers that can still count: the trie's ways behind the input,
//! which is computed once for all of them where the model shares prefixes, and each node asked once.

use super::Scorer;
use super::ask::{Question, continued};
use crate::template::Encoded;

impl Scorer<'_> {
    /// For each input the log-probability of each child of the root, and the score of its right answer
    /// if one is named.
    pub(super) fn openings(
        &self,
        contexts: &[&Encoded],
        right: &[Option<usize>],
    ) -> Vec<(Vec<f32>, f32)> {
        let nodes = self.set.nodes();
        let first: Vec<u32> = nodes[0].children.iter().map(|&child| nodes[child].token).collect();
        let tokens = |right: &Option<usize>| match right {
            Some(number) => self.set.tokens()[*number].as_slice(),
            None => &[],
        };
        let question = |(context, right): (&&Encoded, &Option<usize>)| {
            let tokens = tokens(right);
            let said = &tokens[..tokens.len().saturating_sub(1)];
            let rest = (1..).zip(tokens.iter().skip(1));
            let rest = rest.map(|(behind, &token)| (context.answer + behind, vec![token]));
            let asked = std::iter::once((context.answer, first.clone())).chain(rest);
            Question::new(continued(context, said), asked.collect())
        };
        let questions: Vec<Question> = contexts.iter().zip(right).map(question).collect();
        let opening = |(mut found, right): (Vec<f32>, &Option<usize>)| {
            let rest = found.split_off(first.len());
            let score = right.and_then(|number| {
                let begins =
                    first.iter().position(|&token| token == self.set.tokens()[number][0])?;
                Some(self.score(number, rest.iter().fold(found[begins], |sum, next| sum + next)))
            });
            (found, score.unwrap_or(f32::NEG_INFINITY))
        };
        self.ask(&questions).into_iter().zip(right).map(opening).collect()
    }

    /// The score of each answer, −∞ for those that are provably not above `floor`.
    ///
    /// `first` is the log-probability of each child of the root.
    pub(super) fn causal(&self, context: &Encoded, first: &[f32], floor: f32) -> Vec<f32> {
        let nodes = self.set.nodes();
        let mut sums = vec![f32::NEG_INFINITY; nodes.len()];
        for (&child, &sum) in nodes[0].children.iter().zip(first) {
            sums[child] = sum;
        }
        // Nodes behind which an answer goes on that can still count.
        let mut goes_on = vec![false; nodes.len()];
        for (number, tokens) in self.set.tokens().iter().enumerate() {
            let mut path = self.set.path(tokens).take(tokens.len() - 1).peekable();
            if path.peek().is_some_and(|&begins| self.score(number, sums[begins]) > floor) {
                path.for_each(|node| goes_on[node] = true);
            }
        }
        let ends = |node: &usize| !nodes[*node].children.iter().any(|&child| goes_on[child]);
        let mut asked = vec![false; nodes.len()];
        let mut ways: Vec<(Question, Vec<usize>)> = Vec::new();
        for end in (1..nodes.len()).filter(|&node| goes_on[node]).filter(ends) {
            let up = std::iter::successors(Some(end), |&node| Some(nodes[node].parent));
            let mut way: Vec<usize> = up.take_while(|&node| node > 0).collect();
            way.reverse();
            let said: Vec<u32> = way.iter().map(|&node| nodes[node].token).collect();
            way.retain(|&node| !std::mem::replace(&mut asked[node], true));
            let at = |&node: &usize| {
                let next = nodes[node].children.iter().map(|&child| nodes[child].token).collect();
                (context.answer + nodes[node].depth, next)
            };
            let places = way.iter().map(at).collect();
            ways.push((Question::new(continued(context, &said), places), way));
        }
        let (questions, ways): (Vec<Question>, Vec<Vec<usize>>) = ways.into_iter().unzip();
        for (found, way) in self.ask(&questions).into_iter().zip(ways) {
            let children = way.iter().flat_map(|&node| &nodes[node].children);
            for (&child, next) in children.zip(found) {
                sums[child] = sums[nodes[child].parent] + next;
            }
        }
        let answers = self.set.tokens().iter().enumerate();
        let end = |tokens: &[u32]| self.set.path(tokens).last().unwrap_or(0);
        answers.map(|(number, tokens)| self.score(number, sums[end(tokens)])).collect()
    }
}
