//! The path from examples to loss: splice, gradient, ranks.

mod common;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{Bag, Words, fields};
use ptuning_core::language_model::Objective;
use ptuning_core::objective::{Scores, cross_entropy, cross_entropy_backward, ranks};
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{BoundTemplate, Encoded, Row, Template};
use ptuning_core::verbalizer::{OpenVocabulary, single_token};

fn setting(text: &str) -> (Bag, Vec<Encoded>, usize) {
    let words = Words::causal();
    let bound =
        BoundTemplate::bind(Template::parse(text).unwrap(), &words, Objective::Causal, 32).unwrap();
    let encode = |x: &str| bound.encode(&fields(&[("x", x)]), &words).unwrap();
    let batch = vec![encode("Japan"), encode("New South Wales"), encode("the Isle of Man")];
    (Bag::new(64, 6, &Device::flex()), batch, bound.prompt_len())
}

fn prompt(len: usize, values: impl Fn(usize) -> f32) -> Tensor<2> {
    let values: Vec<f32> = (0..len * 6).map(values).collect();
    Tensor::from_data(TensorData::new(values, [len, 6]), &Device::flex())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

#[test]
fn batched_equals_single() {
    let (lm, batch, len) = setting("[h:2] capital [x] [h:1] [z]");
    let prompt = prompt(len, |i| i as f32 / 7.0);
    let together = values(answer_logits(&lm, Some(&prompt), &batch.iter().collect::<Vec<_>>()));
    let alone: Vec<f32> =
        batch.iter().flat_map(|one| values(answer_logits(&lm, Some(&prompt), &[one]))).collect();
    for (a, b) in together.iter().zip(&alone) {
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}

#[test]
fn what_stands_in_front_of_every_example_is_laid_out_once() {
    let (mut lm, batch, len) = setting("[h:2] capital [x] [h:1] [z]");
    let batch: Vec<&Encoded> = batch.iter().collect();
    let (layout, rows) = Encoded::layout(&batch, true);
    // h_0, h_1 and "capital"; Japan | New South Wales | the Isle of Man, and h_2 each.
    assert_eq!((layout.shared, layout.own.clone()), (3, vec![2, 4, 5]));
    assert_eq!((rows.len(), layout.total_rows(), layout.seq()), (14, 14, 8));
    assert_eq!(layout.answers, [(0, 4), (1, 6), (2, 7)]);
    assert_eq!(rows[..2], [Row::Virtual(0), Row::Virtual(1)]);
    assert_eq!([rows[4], rows[8], rows[13]], [Row::Virtual(2); 3]);
    let (plain, rows) = Encoded::layout(&batch, false);
    assert_eq!((plain.shared, plain.own, rows.len()), (0, vec![5, 7, 8], 20));
    // One example has nothing to share, and the row that answers is never shared.
    assert_eq!(Encoded::layout(&batch[..1], true).0.shared, 0);
    assert_eq!(Encoded::layout(&[batch[0], batch[0]], true).0.shared, 4);

    assert_eq!((layout.constant, plain.constant), (0, 0));

    let start = |i: usize| (i as f32 * 0.7).sin() / 3.0;
    let mut both = [true, false].map(|shares| {
        lm.shares = shares;
        let tracked = prompt(len, start).autodiff().require_grad();
        let loss = cross_entropy(answer_logits(&lm, Some(&tracked), &batch), &[5, 9, 11]).mean();
        let gradient = tracked.grad(&loss.backward()).unwrap();
        values(Tensor::cat(vec![loss.without_autodiff(), gradient.reshape([len * 6])], 0))
    });
    let [shared, plain] = both.each_mut();
    for (a, b) in shared.iter().zip(plain) {
        assert!((a - *b).abs() < 1e-5, "{a} and {b}");
    }
}

#[test]
fn fixed_words_in_front_are_told_apart_from_what_learns_or_differs() {
    let constant = |text: &str, share: bool| {
        let (_, batch, _) = setting(text);
        let batch: Vec<&Encoded> = batch.iter().collect();
        let (one, all) = (&batch[..1], &batch[..]);
        [one, all].map(|batch| {
            let (layout, rows) = Encoded::layout(batch, share);
            assert_eq!(rows.len(), layout.total_rows());
            (layout.constant, layout.shared)
        })
    };
    assert_eq!(constant("the capital [h:2] of [x] is [z]", true), [(2, 2), (2, 5)]);
    assert_eq!(constant("the capital of [x] is [z]", true), [(3, 3), (3, 3)]);
    assert_eq!(constant("the capital of [x] [h:2] [z]", true), [(3, 3), (3, 3)]);
    // An input may begin alike in every example, and yet it is no fixed word.
    assert_eq!(constant("[x] is the [h:2] [z]", true), [(0, 0), (0, 0)]);
    assert_eq!(constant("the capital of [x] is [z]", false), [(0, 0), (0, 0)]);
}

#[test]
fn a_prompt_of_word_embeddings_equals_the_words() {
    let words = Words::causal();
    let bind = |text: &str| {
        BoundTemplate::bind(Template::parse(text).unwrap(), &words, Objective::Causal, 32).unwrap()
    };
    let (soft, hard) = (bind("[h='the capital of'] [x] is [z]"), bind("the capital of [x] is [z]"));
    let fields = fields(&[("x", "Japan")]);
    let lm = Bag::new(64, 6, &Device::flex());
    let (soft_row, hard_row) =
        (soft.encode(&fields, &words).unwrap(), hard.encode(&fields, &words).unwrap());
    let starts: Vec<i64> =
        soft.virtual_tokens().iter().map(|token| i64::from(token.start.unwrap())).collect();
    // "the" opens the text in one and the prompt in the other: both without a space in front.
    assert_eq!(hard_row.ids.len(), soft_row.ids.len());
    let starts = Tensor::<1, Int>::from_data(starts.as_slice(), &Device::flex());
    let prompt = lm.table.clone().select(0, starts);
    let soft = values(answer_logits(&lm, Some(&prompt), &[&soft_row]));
    let hard = values(answer_logits(&lm, None, &[&hard_row]));
    assert_eq!(soft, hard);
}

#[test]
fn gradient_equals_finite_differences_also_for_ties() {
    let (lm, batch, len) = setting("[h:2@a] capital [x] [h:2@a] [h:1] [z]");
    assert_eq!(len, 3);
    let batch: Vec<&Encoded> = batch.iter().collect();
    let answers = [5, 9, 11];
    let start = |i: usize| (i as f32 * 0.7).sin() / 3.0;
    let tracked = prompt(len, start).autodiff().require_grad();
    let loss = cross_entropy(answer_logits(&lm, Some(&tracked), &batch), &answers).mean();
    let gradient = values(tracked.grad(&loss.backward()).unwrap());
    let loss_at = |moved: usize, by: f32| -> f32 {
        let prompt = prompt(len, |i| start(i) + if i == moved { by } else { 0.0 });
        cross_entropy(answer_logits(&lm, Some(&prompt), &batch), &answers).mean().into_scalar()
    };
    for (i, found) in gradient.iter().enumerate() {
        let expected = (loss_at(i, 1e-2) - loss_at(i, -1e-2)) / 2e-2;
        assert!((found - expected).abs() < 2e-3, "{i}: {found} and {expected}");
    }
}

#[test]
fn ranks_count_what_scores_strictly_higher() {
    let device = Device::flex();
    let logits = Tensor::<2>::from_floats([[1.0, 5.0, 5.0, 2.0], [9.0, 8.0, 7.0, 6.0]], &device);
    assert_eq!(ranks(logits.clone(), &[1, 3], None), [0, 3]);
    let some = OpenVocabulary::candidates([0, 2, 3]).tensor(&device);
    assert_eq!(ranks(logits, &[3, 3], some.as_ref()), [1, 2]);
    let scores = Scores::new(&[0, 3, 11], &[1.0, 2.0, 3.0]);
    assert_eq!((scores.examples, scores.loss), (3, 2.0));
    assert!((scores.precision_at_1 - 1.0 / 3.0).abs() < 1e-12);
    assert!((scores.precision_at_10 - 2.0 / 3.0).abs() < 1e-12);
    assert!((scores.mrr - (1.0 + 0.25 + 1.0 / 12.0) / 3.0).abs() < 1e-12);
    assert_eq!(Scores::new(&[], &[]), Scores::default());
}

#[test]
fn cross_entropy_is_minus_log_probability() {
    let logits = Tensor::<2>::from_floats([[0.0, 1.0, 2.0]], &Device::flex());
    let loss: f32 = cross_entropy(logits, &[1]).into_scalar();
    let expected = -(1f32.exp() / (1.0 + 1f32.exp() + 2f32.exp())).ln();
    assert!((loss - expected).abs() < 1e-6);
}

#[test]
fn the_gradient_by_hand_is_the_gradient() {
    let values: Vec<f32> = (0..15).map(|i| (i as f32 * 1.7).sin() * 3.0).collect();
    let logits = || {
        let data = TensorData::new(values.clone(), [3, 5]);
        Tensor::<2>::from_data(data, &Device::flex()).autodiff().require_grad()
    };
    let answers = [4, 0, 2];
    let (taken_apart, by_hand) = (logits(), logits());
    let losses = cross_entropy(taken_apart.clone(), &answers);
    let expected = taken_apart.grad(&losses.clone().sum().div_scalar(7.0).backward()).unwrap();
    let (found, objective) = cross_entropy_backward(by_hand.clone(), &answers, 7);
    let gradient = by_hand.grad(&objective.backward()).unwrap();
    for (a, b) in self::values(gradient).iter().zip(&self::values(expected)) {
        assert!((a - b).abs() < 1e-6, "{a} and {b}");
    }
    for (a, b) in self::values(found).iter().zip(&self::values(losses.without_autodiff())) {
        assert!((a - b).abs() < 1e-6, "{a} and {b}");
    }
}

#[test]
fn the_best_answers_come_with_probabilities_over_the_candidates() {
    let logits = [0.0, 3.0, 1.0, 2.0, f32::NAN];
    let top = OpenVocabulary::candidates([0, 2, 3]).top(&logits, 2);
    assert_eq!(top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3, 2]);
    let sum = 1.0 + 1f32.exp() + 2f32.exp();
    assert!((top[0].1 - 2f32.exp() / sum).abs() < 1e-6);
    assert_eq!(OpenVocabulary::whole().top(&logits[..4], 9).len(), 4);
}

#[test]
fn answers_of_several_tokens_are_told_apart() {
    let words = Words::causal();
    let template = Template::parse("[x] is [z]").unwrap();
    let bound = BoundTemplate::bind(template, &words, Objective::Causal, 32).unwrap();
    assert!(single_token("London", &bound, &words).is_some());
    assert_eq!(single_token("New York", &bound, &words), None);
}
