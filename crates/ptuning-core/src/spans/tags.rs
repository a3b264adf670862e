//! Entities written as a tag for each word.

use super::Entity;

/// Entities of a sentence's tags, by seqeval's rules for what it calls its default mode: `B-person` begins one,
/// `I-person` goes on with one of the same label or begins one, `E-` ends one, `S-` is one by itself, and a
/// tag without a label has the label `_`. `None` where a tag does not begin with one of `B I E S O`.
///
/// Ramshaw and Marcus (1995); seqeval 1.2.2, `get_entities`.
pub fn entities_of_tags(tags: &[String]) -> Option<Vec<Entity>> {
    let mut found = Vec::new();
    let mut begun = 0;
    let (mut before, mut label_before) = (Sign::Out, "");
    for place in 0..=tags.len() {
        let (sign, label) = match tags.get(place) {
            Some(tag) => parse(tag)?,
            None => (Sign::Out, ""),
        };
        let other = label != label_before;
        if before != Sign::Out && (ends(before, sign) || other) {
            found.push(Entity { start: begun, end: place, label: label_before.to_owned() });
        }
        if sign != Sign::Out && (begins(before, sign) || other) {
            begun = place;
        }
        (before, label_before) = (sign, label);
    }
    Some(found)
}

#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Begin,
    Inside,
    End,
    Single,
    Out,
}

fn parse(tag: &str) -> Option<(Sign, &str)> {
    let sign = match tag.chars().next()? {
        'B' => Sign::Begin,
        'I' => Sign::Inside,
        'E' => Sign::End,
        'S' => Sign::Single,
        'O' => Sign::Out,
        _ => return None,
    };
    let rest = &tag[1..];
    let label = rest.split_once('-').map_or(rest, |(_, label)| label);
    Some((sign, if label.is_empty() { "_" } else { label }))
}

/// Whether an entity ends in front of `sign`, whatever the labels; nothing has begun behind `O`.
fn ends(before: Sign, sign: Sign) -> bool {
    matches!(before, Sign::End | Sign::Single)
        || matches!(sign, Sign::Begin | Sign::Single | Sign::Out)
}

fn begins(before: Sign, sign: Sign) -> bool {
    matches!(sign, Sign::Begin | Sign::Single)
        || matches!(before, Sign::End | Sign::Single | Sign::Out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tags: &str) -> Option<Vec<(usize, usize, String)>> {
        let tags: Vec<String> = tags.split_whitespace().map(str::to_owned).collect();
        let found = entities_of_tags(&tags)?;
        Some(found.into_iter().map(|entity| (entity.start, entity.end, entity.label)).collect())
    }

    fn entity(start: usize, end: usize, label: &str) -> (usize, usize, String) {
        (start, end, label.to_owned())
    }

    #[test]
    fn tags_become_entities() {
        let (a, b) = ("a", "b-c");
        assert_eq!(found("").unwrap(), []);
        assert_eq!(found("B-a I-a O B-a").unwrap(), [entity(0, 2, a), entity(3, 4, a)]);
        assert_eq!(found("B-a B-a I-a").unwrap(), [entity(0, 1, a), entity(1, 3, a)]);
        assert_eq!(
            found("I-a I-b-c O I-a").unwrap(),
            [entity(0, 1, a), entity(1, 2, b), entity(3, 4, a)]
        );
        assert_eq!(
            found("B-a E-a I-a S-a").unwrap(),
            [entity(0, 2, a), entity(2, 3, a), entity(3, 4, a)]
        );
        assert_eq!(found("B I O").unwrap(), [entity(0, 2, "_")]);
        assert_eq!(found("B-a X-a"), None);
        assert_eq!(found("é"), None);
    }
}
