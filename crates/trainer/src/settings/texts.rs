//! What can be told of templates and devices before a backbone is at hand.

use backbone::device::DeviceSpec;
use ptuning_core::template::Template;

use super::Settings;
use super::document::Node;
use super::error::{Fault, Place};
use super::reader::Reader;

/// Looks at the texts that the settings hand on: each template by itself and against the inputs there are, and
/// the name of the device.
pub(super) fn check(reader: &mut Reader<'_>, settings: &Settings) {
    let mut templates: Vec<(&'static str, Place, String)> = Vec::new();
    for key in ["template.text", "eval.manual", "eval.ensemble"] {
        let Some(node) = reader.node(key) else { continue };
        let nodes = node.array().unwrap_or(std::slice::from_ref(node));
        let text = |node: &Node| Some((key, node.place.clone(), node.string()?.to_owned()));
        templates.extend(nodes.iter().filter_map(text));
    }
    let inputs = inputs(reader, settings);
    for (key, place, text) in templates {
        if !text.trim().is_empty() {
            template(reader, key, place, &text, inputs.as_deref());
        }
    }
    check_device(reader, &settings.device);
}

/// Names of the inputs that a template may ask for; `None` where they were given wrongly, which is told already.
fn inputs(reader: &mut Reader<'_>, settings: &Settings) -> Option<Vec<String>> {
    match reader.node("data.inputs").filter(|_| settings.spans.is_none()) {
        Some(node) => Some(node.table()?.iter().map(|entry| entry.key.clone()).collect()),
        None => Some(settings.data.inputs.keys().cloned().collect()),
    }
}

fn template(
    reader: &mut Reader<'_>,
    key: &'static str,
    place: Place,
    text: &str,
    inputs: Option<&[String]>,
) {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(source) => {
            reader.problem(place, Fault::Template { key, source: Box::new(source) }, None);
            return;
        }
    };
    let Some(inputs) = inputs else { return };
    let is_unknown = |field: &&str| inputs.iter().all(|known| known != field);
    for field in template.fields().into_iter().filter(is_unknown) {
        let known: Vec<String> = inputs.iter().map(|name| format!("'{name}'")).collect();
        let fault = Fault::NoInput { key, field: field.to_owned(), known: known.join(", ") };
        let hint = format!(
            "write [x:NAME] in the template with a NAME of data.inputs, or add {field} = \"KEY\" there"
        );
        reader.problem(place.clone(), fault, Some(hint));
    }
}

/// Looks at the name of the device, where one is given.
pub(super) fn check_device(reader: &mut Reader<'_>, name: &str) {
    let Some(place) = reader.node("device").map(|node| node.place.clone()) else { return };
    if let Err(source) = name.parse::<DeviceSpec>() {
        let text = source.to_string();
        let (found, hint) = match text.split_once("\nhint: ") {
            Some((found, hint)) => (found, Some(hint.to_owned())),
            None => (text.as_str(), None),
        };
        reader.problem(place, Fault::Device { found: found.to_owned() }, hint);
    }
}
