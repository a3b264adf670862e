//! The JSON schema that editors take: it accepts what the reader of settings accepts, and refuses what can be
//! told from one value alone.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use trainer::settings;

fn configs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // Suites have keys of their own, in a folder of theirs.
    paths.filter(|path| path.is_file()).collect()
}

fn parsed(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    serde_json::to_value(table).unwrap()
}

/// What is wrong with a value, by the keywords that the schema uses and no others.
fn problems(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut all = Vec::new();
    let empty = Map::new();
    let known = schema["properties"].as_object().unwrap_or(&empty);
    for (keyword, rule) in schema.as_object().unwrap() {
        let number = |name: &str| rule.as_f64().unwrap_or_else(|| panic!("{at}: {name}"));
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                other => panic!("{at}: type {other}"),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "pattern" => {
                assert_eq!(rule, "\\S");
                value.as_str().is_none_or(|text| !text.trim().is_empty())
            }
            "minimum" => value.as_f64().is_none_or(|found| found >= number(keyword)),
            "exclusiveMinimum" => value.as_f64().is_none_or(|found| found > number(keyword)),
            "maximum" => value.as_f64().is_none_or(|found| found <= number(keyword)),
            "exclusiveMaximum" => value.as_f64().is_none_or(|found| found < number(keyword)),
            "minItems" => value.as_array().is_none_or(|all| all.len() as f64 >= number(keyword)),
            "maxItems" => value.as_array().is_none_or(|all| all.len() as f64 <= number(keyword)),
            "minProperties" => value.as_object().is_none_or(|all| !all.is_empty()),
            "required" => rule.as_array().unwrap().iter().all(|name| {
                value.as_object().is_none_or(|all| all.contains_key(name.as_str().unwrap()))
            }),
            "anyOf" => {
                let fits = |one: &Value| problems(one, value, at).is_empty();
                rule.as_array().unwrap().iter().any(fits)
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                all.extend(items.flat_map(|(i, item)| problems(rule, item, &format!("{at}[{i}]"))));
                true
            }
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(name) {
                        all.extend(problems(rule, inner, &format!("{at}.{name}")));
                    }
                }
                true
            }
            "additionalProperties" => {
                let others = value.as_object().into_iter().flatten();
                for (name, inner) in others.filter(|(name, _)| !known.contains_key(*name)) {
                    if rule == &json!(false) {
                        all.push(format!("{at}.{name}: unknown"));
                    } else {
                        all.extend(problems(rule, inner, &format!("{at}.{name}")));
                    }
                }
                true
            }
            other => panic!("{at}: the schema has the keyword {other}"),
        };
        if !holds {
            all.push(format!("{at}: {keyword} {rule}"));
        }
    }
    all
}

#[test]
fn every_config_of_the_repository_fits() {
    let schema = settings::schema();
    let configs = configs();
    assert!(configs.len() > 10);
    for path in configs {
        let value = parsed(&std::fs::read_to_string(&path).unwrap());
        assert_eq!(problems(&schema, &value, ""), [""; 0], "{}", path.display());
    }
}

#[test]
fn every_key_is_in_it_with_a_default_and_an_example_that_fit() {
    let schema = settings::schema();
    for key in settings::documentation() {
        let section = match key.section() {
            "" => &schema,
            section => &schema["properties"][section],
        };
        let rule = &section["properties"][key.name()];
        assert!(rule["description"].as_str().unwrap().len() > 10, "{}", key.key);
        let example = parsed(&key.example);
        assert_eq!(problems(rule, &example[key.name()], &key.key), [""; 0]);
        if let Some(default) = &rule.get("default") {
            assert_eq!(problems(rule, default, &key.key), [""; 0]);
        }
    }
}

#[test]
fn what_the_reader_refuses_by_one_value_the_schema_refuses() {
    let schema = settings::schema();
    let least =
        "[backbone]\nsource = \"b\"\n[data]\npath = \"d\"\n[template]\ntext = \"[x] [z]\"\n";
    assert_eq!(problems(&schema, &parsed(least), ""), [""; 0]);
    let wrong = [
        "[train]\nlr = 0",
        "[train]\nlr = \"fast\"",
        "[train]\nlearning_rate = 1",
        "[train]\nepochs = 0",
        "[train]\nepochs = 1.5",
        "[train]\nbetas = [0.9]",
        "[train]\nbetas = [0.9, 1.0]",
        "[train]\nbetas = [0.9, 0.99, 0.999]",
        "[train]\noptimizer = \"sgd\"",
        "[train]\nshuffle = \"yes\"",
        "[train]\nweight_decay = -1",
        "[train]\nschedule = \"exponential\"\ngamma = 1.5",
        "[eval]\nsplits = [\"tset\"]",
        "[eval]\nensemble = [\"[x] [z]\"]",
        "[verbalizer]\nlabels = { a = [], b = [\"c\"] }",
        "[verbalizer]\nlabels = { a = \"b\", c = \"d\" }\nweights = { b = 0 }",
        "[prompt_encoder]\nkind = \"lstn\"",
        "[nonsense]\na = 1",
    ];
    for text in wrong {
        let text = format!("{least}{text}\n");
        assert!(!problems(&schema, &parsed(&text), "").is_empty(), "{text}");
        assert!(settings::from_toml_str(&text, Path::new("c.toml"), &[]).is_err(), "{text}");
    }
    assert!(!problems(&schema, &json!({}), "").is_empty());
}
