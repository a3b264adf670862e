//! Paired bootstrap intervals against SciPy's, and what counts as the same example.

use ptuning_core::template::Fields;
use serde_json::Value;
use trainer::compare::{CompareError, Interval, Side, compare};
use trainer::judged::{Judged, Verdict};

fn side(name: &str, ranks: &[usize], first: usize) -> Side {
    let example = |(place, &rank): (usize, &usize)| Judged {
        index: first + place,
        input: Fields::from([("x".to_owned(), format!("x{}", first + place))]),
        answer: "z".to_owned(),
        prompt: Some(Verdict { says: "z".to_owned(), rank, filtered_rank: None, loss: 1.0 }),
        manual: None,
        majority_rank: 1,
    };
    let examples = ranks.iter().enumerate().map(example).collect();
    Side { name: name.to_owned(), examples, manual: false }
}

fn ranks(golden: &Value, key: &str) -> Vec<usize> {
    golden[key].as_array().unwrap().iter().map(|rank| rank.as_u64().unwrap() as usize).collect()
}

#[test]
fn intervals_equal_scipys() {
    let golden: Value = serde_json::from_str(include_str!("golden/paired_bootstrap.json")).unwrap();
    let sides =
        [side("first", &ranks(&golden, "first"), 0), side("second", &ranks(&golden, "second"), 0)];
    let comparison = compare(&sides, 20_000, 3).unwrap();
    assert_eq!((comparison.examples, comparison.left_out), (200, 0));
    let found = comparison.sides[1].difference.unwrap();
    for (interval, key) in [(found.p1, "p1"), (found.mrr, "mrr")] {
        let Interval { difference, low, high } = interval;
        let of = |what: &str| golden[key][what].as_f64().unwrap();
        assert!((difference - of("difference")).abs() < 1e-12, "{key}");
        // Other random numbers: a percentile of 20,000 samples is known to about a hundredth of the width.
        let width = of("high") - of("low");
        assert!((low - of("low")).abs() < 0.04 * width, "{key}: {low} and {}", of("low"));
        assert!((high - of("high")).abs() < 0.04 * width, "{key}: {high} and {}", of("high"));
    }
    assert_eq!(comparison, compare(&sides, 20_000, 3).unwrap());
}

#[test]
fn only_what_all_were_asked_is_compared() {
    let comparison =
        compare(&[side("a", &[1, 2, 1, 4], 0), side("b", &[1, 1, 4, 1], 1)], 100, 0).unwrap();
    assert_eq!((comparison.examples, comparison.left_out), (3, 1));
    let [a, b] = comparison.sides.try_into().unwrap();
    // Examples 1 to 3: ranks 2, 1, 4 and 1, 1, 4.
    assert!((a.p1 - 1.0 / 3.0).abs() < 1e-12 && (b.p1 - 2.0 / 3.0).abs() < 1e-12);
    let difference = b.difference.unwrap();
    assert_eq!((difference.won, difference.lost), (1, 0));
    let apart = compare(&[side("a", &[1], 0), side("b", &[1], 5)], 100, 0);
    assert!(matches!(apart, Err(CompareError::NothingInCommon { .. })));
}
