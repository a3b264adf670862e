//! The template language: parsing, printing, binding, encoding.

mod common;

use common::{Words, fields};
use ptuning_core::language_model::{Objective, Tokenize};
use ptuning_core::template::{
    BindError, BoundTemplate, EncodeError, Encoded, Part, Row, Template, TemplateErrorKind as Kind,
};

fn bind(text: &str, tokenizer: &Words) -> BoundTemplate {
    let objective = match tokenizer.special().mask {
        Some(_) => Objective::Masked,
        None => Objective::Causal,
    };
    BoundTemplate::bind(Template::parse(text).unwrap(), tokenizer, objective, 64).unwrap()
}

#[test]
fn printing_and_parsing_round_trip() {
    for text in [
        "The capital of [x] is [z]",
        "[h:3] capital [x] [h:3] [z]",
        "[z] [h:3] [x] [h:3]",
        "[x:premise] ? [h:2] [z] , [x:hypothesis]",
        "[h='the capital of'] [x] [h:2] [z]",
        "[h:3@a] [x] [h:3@a] [z]",
        "[h='it\\'s \\\\ so'@b][x|head] [x:text|tail][h][z]",
        "a \\[literal\\] \\\\ bracket [x] Ünïcødé 日本 [z]",
    ] {
        let template = Template::parse(text).unwrap();
        assert_eq!(template.to_string(), text);
        assert_eq!(Template::parse(&template.to_string()).unwrap(), template);
    }
}

#[test]
fn errors_point_at_the_column() {
    type Case = (&'static str, usize, fn(&Kind) -> bool);
    let cases: &[Case] = &[
        ("", 1, |k| matches!(k, Kind::Empty)),
        ("The capital of [x] is", 22, |k| matches!(k, Kind::NoAnswer)),
        ("[z] and [z]", 9, |k| matches!(k, Kind::SecondAnswer { first: 1 })),
        ("é [x [z]", 3, |k| matches!(k, Kind::Unclosed)),
        ("[x] ] [z]", 5, |k| matches!(k, Kind::Unopened)),
        ("[y] [z]", 1, |k| matches!(k, Kind::UnknownSlot { .. })),
        ("[MASK]", 1, |k| matches!(k, Kind::UnknownSlot { .. })),
        ("[h:0] [z]", 4, |k| matches!(k, Kind::BadCount { .. })),
        ("[h:many] [z]", 4, |k| matches!(k, Kind::BadCount { .. })),
        ("[h:99999] [z]", 4, |k| matches!(k, Kind::BadCount { .. })),
        ("[x:] [z]", 4, |k| matches!(k, Kind::BadName { .. })),
        ("[x:two words] [z]", 4, |k| matches!(k, Kind::BadName { .. })),
        ("[x|middle] [z]", 4, |k| matches!(k, Kind::BadShorten { .. })),
        ("[h=''] [z]", 4, |k| matches!(k, Kind::NoWords)),
        ("[h='a] [z]", 4, |k| matches!(k, Kind::UnclosedQuote)),
        ("[h=a] [z]", 4, |k| matches!(k, Kind::UnclosedQuote)),
        ("[h:2@a] [h:3@a] [z]", 9, |k| matches!(k, Kind::TieLength { .. })),
        ("a\\n [z]", 2, |k| matches!(k, Kind::BadEscape { found: 'n' })),
        ("[z]\\", 4, |k| matches!(k, Kind::LoneBackslash)),
        ("[z:3] x", 1, |k| matches!(k, Kind::UnknownSlot { .. })),
    ];
    for (text, column, is) in cases {
        let error = Template::parse(text).expect_err(text);
        assert!(is(&error.kind), "{text}: {:?}", error.kind);
        assert_eq!(error.column, *column, "{text}: {error}");
    }
}

#[test]
fn random_text_never_panics() {
    let alphabet: Vec<char> = "[]xzh:=@|'\\ 3aé".chars().collect();
    let mut state = 1u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..(state >> 60) + 4 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            text.push(alphabet[(state >> 33) as usize % alphabet.len()]);
        }
        if let Ok(template) = Template::parse(&text) {
            assert_eq!(Template::parse(&template.to_string()).unwrap(), template, "{text}");
        }
    }
}

#[test]
fn causal_positions_are_known() {
    let words = Words::causal();
    let bound = bind("[h:3] capital [x] [h:2] [z]", &words);
    let encoded = bound.encode(&fields(&[("x", "Great Britain")]), &words).unwrap();
    assert_eq!(bound.prompt_len(), 5);
    assert_eq!(words.decode(&encoded.ids[3..6]), " capital Great Britain");
    let slots: Vec<_> = encoded.slots.iter().map(|s| (s.position, s.virtual_token)).collect();
    assert_eq!(slots, [(0, 0), (1, 1), (2, 2), (6, 3), (7, 4)]);
    assert_eq!(encoded.text[0].part, Part::Anchor);
    assert_eq!(encoded.text[0].positions, 3..4);
    assert_eq!(encoded.text[1].part, Part::Input("x".into()));
    assert_eq!(encoded.text[1].positions, 4..6);
    assert_eq!(encoded.answer, 7);
    assert_eq!(bound.answer_text("London"), " London");
}

#[test]
fn white_space_before_the_answer_is_the_answers() {
    let words = Words::causal();
    let spaced = bind("The capital of [x] is [z]", &words);
    let encoded = spaced.encode(&fields(&[("x", "Japan")]), &words).unwrap();
    assert_eq!(words.decode(&encoded.ids), "The capital of Japan is");
    assert_eq!(spaced.answer_text("Tokyo"), " Tokyo");
    assert_eq!(bind("[x] ([z]", &words).answer_text("Tokyo"), "Tokyo");
}

/// Tokens of an example, virtual ones as `h`.
fn tokens(template: &BoundTemplate, tokenizer: &Words) -> Vec<String> {
    let encoded = template.encode(&fields(&[("x", "Britain")]), tokenizer).unwrap();
    let token = |row| match row {
        Row::Token(id) => tokenizer.token(id).unwrap(),
        Row::Virtual(_) => "h".to_owned(),
    };
    encoded.rows().map(token).collect()
}

#[test]
fn a_tokenizer_that_opens_with_a_space_has_it_before_the_first_text_alone() {
    let words = Words::masked().opening();
    for (template, expected) in [
        ("capital [x] is [z]", &["[CLS]", " capital", " Britain", " is", "[MASK]", "[SEP]"][..]),
        (" capital [x] is [z]", &["[CLS]", " capital", " Britain", " is", "[MASK]", "[SEP]"]),
        ("[x] is [z]", &["[CLS]", " Britain", " is", "[MASK]", "[SEP]"]),
        ("[h:1][x] is [z]", &["[CLS]", "h", "Britain", " is", "[MASK]", "[SEP]"]),
        ("[z] is [x]", &["[CLS]", "[MASK]", " is", " Britain", "[SEP]"]),
    ] {
        assert_eq!(tokens(&bind(template, &words), &words), expected, "{template}");
    }
    // The space belongs to the word behind it: a subject that comes first is no fixed word.
    let bound = bind("[x] is [z]", &words);
    let encoded = bound.encode(&fields(&[("x", "Britain")]), &words).unwrap();
    assert_eq!(encoded.text[0].part, Part::Input("x".to_owned()));
    assert_eq!(
        (encoded.text[0].positions.clone(), encoded.text[1].positions.clone()),
        (1..2, 2..3)
    );
    assert_eq!(bind("[z] is [x]", &words).answer_text("London"), " London");
    assert_eq!(bind("[z] is [x]", &Words::masked()).answer_text("London"), "London");
    let causal = Words::causal().opening();
    assert_eq!(tokens(&bind("capital [x] [z]", &causal), &causal), [" capital", " Britain"]);
}

#[test]
fn masked_positions_are_known() {
    let words = Words::masked();
    let bound = bind("[h:2] capital [x] [z] [h:1]", &words);
    let encoded = bound.encode(&fields(&[("x", "Japan")]), &words).unwrap();
    assert_eq!(words.decode(&encoded.ids), "[CLS][PAD][PAD] capital Japan[MASK][PAD][SEP]");
    assert_eq!(encoded.answer, 5);
    assert_eq!(encoded.slots[2].position, 6);
    // The mask in a user's text is just a word: positions come from the encoding, not from a scan.
    let encoded = bound.encode(&fields(&[("x", "[MASK]")]), &words).unwrap();
    assert_eq!(encoded.answer, 5);
}

#[test]
fn ties_share_and_words_start() {
    let words = Words::causal();
    let bound = bind("[h:2@a] [x] [h='the capital'] [h:2@a] [z]", &words);
    assert_eq!(bound.prompt_len(), 4);
    let encoded = bound.encode(&fields(&[("x", "Japan")]), &words).unwrap();
    let tokens: Vec<_> = encoded.slots.iter().map(|slot| slot.virtual_token).collect();
    assert_eq!(tokens, [0, 1, 2, 3, 0, 1]);
    let starts: Vec<_> = bound.virtual_tokens().iter().map(|token| token.start).collect();
    let ids = words.ids(" the capital");
    assert_eq!(starts, [None, None, Some(ids[0]), Some(ids[1])]);
}

#[test]
fn a_causal_answer_comes_last() {
    let words = Words::causal();
    let bind = |text: &str| {
        BoundTemplate::bind(Template::parse(text).unwrap(), &words, Objective::Causal, 8)
    };
    assert_eq!(bind("[x] is [z] .").unwrap_err(), BindError::AfterAnswer { column: 11 });
    assert_eq!(bind("[z] [h:2]").unwrap_err(), BindError::AfterAnswer { column: 5 });
    assert_eq!(bind("[z]").unwrap_err(), BindError::NothingBefore);
    assert_eq!(bind("[h:9] [z]").unwrap_err(), BindError::TooLong { found: 9, max: 8 });
    assert!(bind("[x] is [z]  ").is_ok());
}

#[test]
fn long_inputs_are_shortened_by_the_rule_or_refused() {
    let words = Words::causal();
    let bind = |text: &str| {
        BoundTemplate::bind(Template::parse(text).unwrap(), &words, Objective::Causal, 6).unwrap()
    };
    let long = fields(&[("x", "one two three four five six")]);
    let head = bind("[h:2] [x|head] is [z]").encode(&long, &words).unwrap();
    assert_eq!(words.decode(&head.ids[2..]), " one two three is");
    assert_eq!(head.shortened[0].dropped, 3);
    let tail = bind("[h:2] [x|tail] is [z]").encode(&long, &words).unwrap();
    assert_eq!(words.decode(&tail.ids[2..]), " four five six is");
    assert_eq!(tail.slots.len(), 2);
    let refused = bind("[h:2] [x] is [z]").encode(&long, &words).unwrap_err();
    assert_eq!(refused, EncodeError::TooLong { found: 9, max: 6, field: "x".into() });
}

#[test]
fn missing_and_empty_fields_are_named() {
    let words = Words::causal();
    let bound = bind("[x:premise] ? [z]", &words);
    let missing = bound.encode(&fields(&[("x", "a")]), &words).unwrap_err();
    assert!(missing.to_string().contains("'premise'") && missing.to_string().contains("'x'"));
    let empty = bound.encode(&fields(&[("premise", " ")]), &words).unwrap_err();
    assert_eq!(empty, EncodeError::EmptyField { field: "premise".into() });
}

#[test]
fn a_prefix_takes_positions_and_no_rows() {
    let words = Words::causal();
    let parsed = Template::parse("[prefix:4] The capital of [x] is [z]").unwrap();
    assert_eq!(parsed.to_string(), "[prefix:4] The capital of [x] is [z]");
    assert!(parsed.has_virtual_tokens() && parsed.is_prefix_only());
    let plain = Template::parse(" The capital of [x] is [z]").unwrap();
    let bind = |template: &Template, room| {
        BoundTemplate::bind(template.clone(), &words, Objective::Causal, room)
    };
    let (bound, plain) = (bind(&parsed, 12).unwrap(), bind(&plain, 12).unwrap());
    assert_eq!((bound.prompt_len(), plain.prompt_len()), (4, 0));
    assert_eq!(bound.virtual_tokens()[3].name, "p_3");
    let example = fields(&[("x", "New South Wales")]);
    let (found, same) =
        (bound.encode(&example, &words).unwrap(), plain.encode(&example, &words).unwrap());
    assert_eq!(
        (&found.ids, found.answer, found.slots.len(), found.prefix),
        (&same.ids, same.answer, 0, 4)
    );
    // What stands behind it changes as it learns: shared, but never kept.
    let other = bound.encode(&fields(&[("x", "Japan")]), &words).unwrap();
    let (layout, _) = Encoded::layout(&[&found, &other], true);
    assert_eq!((layout.prefix, layout.shared, layout.constant), (4, 3, 0));
    assert_eq!(layout.positions().next(), Some(4));
    // Seven rows and four places do not go into ten.
    let refused = bind(&parsed, 10).unwrap().encode(&example, &words).unwrap_err();
    assert!(refused.to_string().contains("takes 11 positions"), "{refused}");
    let refused = bind(&parsed, 7).unwrap_err();
    assert!(refused.to_string().contains("take 8 positions"), "{refused}");
    for (wrong, column) in [("[x] [prefix:2] [z]", 5), ("[prefix:2] [prefix:2] [z]", 12)] {
        assert_eq!(Template::parse(wrong).unwrap_err().column, column, "{wrong}");
    }
}
