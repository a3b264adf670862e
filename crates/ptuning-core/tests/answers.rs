//! Answers of several tokens on a toy language model: the trie, exact pruning, ties, refusals.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{Bag, Words, fields};
use ptuning_core::answers::{
    AnswerSet, AnswersError, Beams, MaskedScoring, Scorer, Scoring, generate, with_room,
};
use ptuning_core::language_model::{LanguageModel, Objective, Tokenize};
use ptuning_core::objective::cross_entropy;
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{BoundTemplate, Encoded, Template};

const ANSWERS: [&str; 9] = [
    "Rome",
    "New York",
    "New York City",
    "New Delhi",
    "Paris",
    "San Jose del Cabo",
    "San Juan",
    "San Jose",
    "the city of light",
];

struct Toy {
    words: Words,
    template: BoundTemplate,
    set: AnswerSet,
    lm: Bag,
    prompt: Tensor<2>,
}

impl Toy {
    fn new() -> Self {
        let words = Words::causal();
        let template = Template::parse("[h:2] capital of [x] is [z]").unwrap();
        let template = BoundTemplate::bind(template, &words, Objective::Causal, 32).unwrap();
        let set = AnswerSet::new(ANSWERS, &template, &words).unwrap();
        let values: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin() / 3.0).collect();
        let prompt = Tensor::from_data(TensorData::new(values, [2, 6]), &Device::flex());
        Self { words, template, set, lm: Bag::new(64, 6, &Device::flex()), prompt }
    }

    fn contexts(&self) -> Vec<Encoded> {
        let encode = |x: &str| self.template.encode(&fields(&[("x", x)]), &self.words).unwrap();
        vec![encode("Japan"), encode("New South Wales"), encode("the Isle of Man")]
    }

    fn scorer(&self, normalised: bool, batch_size: usize) -> Scorer<'_> {
        let scoring = Scoring { masked: None, normalised, batch_size };
        Scorer::new(&self.lm, Some(&self.prompt), &self.set, scoring)
    }

    /// The sum of an answer's log-probabilities, each token by a pass of its own.
    fn slowly(&self, context: &Encoded, tokens: &[u32]) -> f32 {
        let mut encoded = context.clone();
        let mut sum = 0.0;
        for &token in tokens {
            let loss: f32 =
                cross_entropy(answer_logits(&self.lm, Some(&self.prompt), &[&encoded]), &[token])
                    .into_scalar();
            sum -= loss;
            encoded.ids.push(token);
            encoded.answer += 1;
        }
        sum
    }
}

#[test]
fn a_set_knows_its_words_and_their_tokens() {
    let toy = Toy::new();
    assert_eq!((toy.set.len(), toy.set.longest()), (9, 4));
    assert_eq!(toy.set.number("New York City"), Some(2));
    assert_eq!(toy.set.number("York"), None);
    let again = ["Rome", "Paris", "Rome", "Paris"];
    let set = AnswerSet::new(again, &toy.template, &toy.words).unwrap();
    assert_eq!((set.len(), set.number("Paris")), (2, Some(1)));
    let nothing = AnswerSet::new([], &toy.template, &toy.words).unwrap_err();
    assert_eq!(nothing, AnswersError::Empty);
}

#[test]
fn scores_are_sums_over_tokens_however_they_are_batched_and_shared() {
    let mut toy = Toy::new();
    for shares in [true, false] {
        toy.lm.shares = shares;
        for context in toy.contexts() {
            for batch_size in [1, 3, 64] {
                let sums = toy.scorer(false, batch_size).scores(&context);
                let means = toy.scorer(true, batch_size).scores(&context);
                for ((tokens, sum), mean) in toy.set.tokens().iter().zip(sums).zip(means) {
                    let expected = toy.slowly(&context, tokens);
                    assert!((sum - expected).abs() < 1e-4, "{sum} and {expected}");
                    let expected = expected / tokens.len() as f32;
                    assert!((mean - expected).abs() < 1e-4, "{mean} and {expected}");
                }
            }
        }
    }
}

#[test]
fn pruned_ranks_are_the_ranks() {
    let toy = Toy::new();
    let contexts = toy.contexts();
    let contexts: Vec<&Encoded> = contexts.iter().collect();
    let mut seen = Vec::new();
    for normalised in [false, true] {
        let scorer = toy.scorer(normalised, 2);
        for right in 0..toy.set.len() {
            let ranks = scorer.ranks(&contexts, &[right; 3]);
            for (rank, context) in ranks.iter().zip(&contexts) {
                let scores = scorer.scores(context);
                let others = scores.iter().enumerate().filter(|(number, _)| *number != right);
                let higher = others.filter(|(_, score)| **score > scores[right]).count();
                assert_eq!(rank.rank, higher);
                assert!((rank.score - scores[right]).abs() < 1e-5);
                seen.push(higher);
            }
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..9).collect::<Vec<_>>(), "every rank occurs");
}

#[test]
fn answers_that_score_alike_share_a_rank() {
    let mut toy = Toy::new();
    // A model that says nothing: every token is as likely as every other.
    toy.lm.table = Tensor::zeros([64, 6], &Device::flex());
    let contexts = toy.contexts();
    let ranks = toy.scorer(false, 8).ranks(&[&contexts[0], &contexts[1]], &[4, 6]);
    // Answers of one token are above those of two, of which none is above another.
    assert_eq!([ranks[0].rank, ranks[1].rank], [0, 2]);
    let means = toy.scorer(true, 8).ranks(&[&contexts[0]], &[8]);
    assert!((means[0].score + 64f32.ln()).abs() < 1e-5, "{}", means[0].score);
}

/// Counts the rows that answer, to tell work that is not done.
struct Counting<'a>(&'a Bag, std::sync::atomic::AtomicUsize);

impl LanguageModel for Counting<'_> {
    fn objective(&self) -> Objective {
        self.0.objective()
    }
    fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }
    fn hidden_size(&self) -> usize {
        self.0.hidden_size()
    }
    fn max_positions(&self) -> usize {
        self.0.max_positions()
    }
    fn device(&self) -> Device {
        self.0.device()
    }
    fn word_embeddings(&self) -> Tensor<2> {
        self.0.word_embeddings()
    }
    fn shares_prefix(&self) -> bool {
        true
    }
    fn embed(&self, ids: &[u32]) -> Tensor<2> {
        self.0.embed(ids)
    }
    fn encode(
        &self,
        inputs: ptuning_core::language_model::Inputs,
        layout: &ptuning_core::language_model::Layout,
    ) -> Tensor<2> {
        self.1.fetch_add(layout.answers.len(), std::sync::atomic::Ordering::Relaxed);
        self.0.encode(inputs, layout)
    }
    fn head(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.0.head(hidden)
    }
    fn head_rows(&self, ids: &[u32]) -> Tensor<2> {
        self.0.head_rows(ids)
    }
}

#[test]
fn what_answers_have_in_common_is_asked_once_and_what_cannot_count_never() {
    let toy = Toy::new();
    let context = &toy.contexts()[0];
    let rows = |ask: &dyn Fn(&Scorer<'_>)| {
        let lm = Counting(&toy.lm, Default::default());
        let scoring = Scoring { masked: None, normalised: false, batch_size: 64 };
        ask(&Scorer::new(&lm, Some(&toy.prompt), &toy.set, scoring));
        lm.1.into_inner()
    };
    let scores = toy.scorer(false, 64).scores(context);
    let all = rows(&|scorer| drop(scorer.scores(context)));
    // The root, New, New York, San, San Jose, San Jose del, the, the city, the city of.
    assert_eq!(all, 9);
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
    let of_best = rows(&|scorer| assert_eq!(scorer.ranks(&[context], &[best])[0].rank, 0));
    assert!(of_best < all, "{of_best} rows for the best answer's rank");
}

#[test]
fn a_beam_finds_what_greedy_search_misses_and_no_better_one_is_left() {
    let toy = Toy::new();
    let context = &toy.contexts()[0];
    let written = |beams: usize, max_tokens: usize| {
        let options = Beams { beams, max_tokens, normalised: false };
        generate(&toy.lm, Some(&toy.prompt), context, &toy.words, options).unwrap()
    };
    // As many beams as words: nothing of two tokens can be missed.
    let known = toy.words.vocab_size();
    let best = written(known, 2);
    assert_eq!(best.len(), known);
    let mut exhaustive: Vec<f32> = Vec::new();
    for a in 0..64u32 {
        for b in 0..64u32 {
            exhaustive.push(toy.slowly(context, &[a, b]));
        }
    }
    exhaustive.sort_by(|a, b| b.total_cmp(a));
    for (found, expected) in best.iter().zip(&exhaustive) {
        assert!((found.score - expected).abs() < 1e-4, "{} and {expected}", found.score);
        assert!(!found.ended);
        assert!((toy.slowly(context, &found.tokens) - found.score).abs() < 1e-4);
    }
    let greedy = written(1, 2);
    assert_eq!(greedy.len(), 1);
    assert!(greedy[0].score <= best[0].score + 1e-6);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let toy = Toy::new();
    let masked = Some(MaskedScoring::PseudoLikelihood);
    let scoring = Scoring { masked, normalised: false, batch_size: 8 };
    let error = scoring.check(&toy.lm).unwrap_err();
    assert_eq!(error, AnswersError::NotMasked);
    // "capital of … is" and two virtual tokens are five positions.
    assert!(with_room(&toy.template, &toy.words, 9, 4).is_ok());
    let error = with_room(&toy.template, &toy.words, 7, 4).unwrap_err();
    assert!(matches!(error, AnswersError::Bind { tokens: 4, .. }), "{error}");
    assert!(error.to_string().starts_with("with an answer of 4 tokens: "), "{error}");
}
