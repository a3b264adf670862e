//! The settings as a JSON schema, for editors.

use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::documentation::{Documented, documentation, section_text};
use super::shape::Shape;

/// A JSON schema (draft 2020-12) of config files: of prompts, and of language models that learn a text.
///
/// It knows types, ranges, names, defaults and what must be given; which keys go together is left to the
/// reader of settings.
pub fn schema() -> Value {
    let all = documentation();
    let mut properties = Map::new();
    for documented in &all {
        if documented.section().is_empty() {
            properties.insert(documented.key.clone(), key(documented));
        } else if !properties.contains_key(documented.section()) {
            properties.insert(documented.section().to_owned(), section(&all, documented.section()));
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ptune",
        "description": "A config of `ptune train`, `ptune eval`, `ptune search` or `ptune adapt`.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "required": ["backbone"],
        "anyOf": [{ "required": ["data", "template"] }, { "required": ["text"] }],
    })
}

fn section(all: &[Documented], name: &str) -> Value {
    let within = || all.iter().filter(|documented| documented.section() == name);
    let keys: Map<String, Value> =
        within().map(|documented| (documented.name().to_owned(), key(documented))).collect();
    let required: Vec<&str> =
        within().filter(|documented| documented.required).map(Documented::name).collect();
    let mut section = Map::new();
    section.insert("type".to_owned(), json!("object"));
    let text = section_text(name);
    if !text.is_empty() {
        section.insert("description".to_owned(), json!(text));
    }
    section.insert("properties".to_owned(), json!(keys));
    section.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        section.insert("required".to_owned(), json!(required));
    }
    Value::Object(section)
}

fn key(documented: &Documented) -> Value {
    let Documented { description, default, default_value, required, .. } = documented;
    let mut key = shape(&documented.shape);
    let told = match default_value {
        None if !required => format!("{description} Default: {default}."),
        _ => description.clone(),
    };
    key.insert("description".to_owned(), json!(told));
    if let Some(value) = default_value {
        key.insert("default".to_owned(), value.clone());
    }
    Value::Object(key)
}

fn shape(shape: &Shape) -> Map<String, Value> {
    let value = match shape {
        Shape::Any => json!({}),
        Shape::Text => json!({ "type": "string", "pattern": "\\S" }),
        Shape::Truth => json!({ "type": "boolean" }),
        Shape::Whole { least } => json!({ "type": "integer", "minimum": least }),
        Shape::Number { from, to } => {
            let mut number = Map::from_iter([("type".to_owned(), json!("number"))]);
            bound(&mut number, from, ["minimum", "exclusiveMinimum"]);
            bound(&mut number, to, ["maximum", "exclusiveMaximum"]);
            Value::Object(number)
        }
        Shape::Choice(names) => json!({ "type": "string", "enum": names }),
        Shape::List { of, least, most } => {
            let mut list = json!({ "type": "array", "items": self::shape(of) });
            if *least > 0 {
                list["minItems"] = json!(least);
            }
            if *most < usize::MAX {
                list["maxItems"] = json!(most);
            }
            list
        }
        Shape::Table(of) => json!({
            "type": "object",
            "additionalProperties": self::shape(of),
            "minProperties": 1,
        }),
        Shape::Either(shapes) => {
            json!({ "anyOf": shapes.iter().map(self::shape).collect::<Vec<_>>() })
        }
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn bound(number: &mut Map<String, Value>, bound: &Bound<f64>, [included, excluded]: [&str; 2]) {
    let (name, at) = match bound {
        Bound::Included(at) => (included, at),
        Bound::Excluded(at) => (excluded, at),
        Bound::Unbounded => return,
    };
    number.insert(name.to_owned(), json!(at));
}
