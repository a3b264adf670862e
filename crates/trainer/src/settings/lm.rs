//! `[lm]`: which part of the language model learns, and how.

use serde::Serialize;

use super::reader::{Given, OrDefault, Reader};
use super::sections::Strategy;
use super::shape::Shape;

/// `[lm]`: for the strategies that train the language model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LmSettings {
    /// Peak learning rate of the language model, above 0; it follows the schedule of `train.lr`.
    pub lr: f64,
    /// What of it learns.
    #[serde(flatten)]
    pub parts: LmParts,
    /// Only the last so many layers, at least 1; all, with embeddings and head, if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
}

/// What of a language model learns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "parts", rename_all = "lowercase")]
pub enum LmParts {
    /// Every weight.
    All,
    /// Biases alone (BitFit: Ben Zaken et al., 2022).
    Bias,
    /// A product of two narrow matrices beside some projections (LoRA: Hu et al., 2022).
    Lora {
        /// Width of the two, at least 1.
        rank: usize,
        /// The product counts `alpha / rank` times; above 0.
        alpha: f64,
        /// Ends of the names of projections; those of queries and values if empty.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        modules: Vec<String>,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Parts {
    All,
    Bias,
    Lora,
}

/// Reads `[lm]`; `None` for a strategy that leaves the language model as it is.
pub(super) fn lm(reader: &mut Reader<'_>, strategy: Option<Strategy>) -> Option<LmSettings> {
    let names = [("all", Parts::All), ("bias", Parts::Bias), ("lora", Parts::Lora)];
    let parts = reader.choice("lm.parts", &names);
    let lr = reader.positive("lm.lr");
    let layers = reader.count("lm.layers", 1);
    let rank = reader.count("lm.rank", 1);
    let alpha = reader.positive("lm.alpha");
    let expected =
        Shape::list(Shape::Text, 1).told("a list of names, such as [\"q_proj\", \"v_proj\"]");
    let modules = reader.read("lm.modules", expected, |node| {
        let name = |node: &super::document::Node| {
            node.string().filter(|name| !name.trim().is_empty()).map(str::to_owned)
        };
        let names = node.array().filter(|names| !names.is_empty())?;
        names.iter().map(name).collect::<Option<Vec<String>>>()
    });
    if !strategy.is_some_and(Strategy::trains_lm) {
        let place = reader.node("train.strategy").map(|node| node.place.clone());
        let reason = || {
            let name = strategy.unwrap_or(Strategy::FixedLm).name();
            format!("strategy `{name}`, which leaves the language model as it is")
        };
        let place = place.as_ref();
        reader.no_effect("lm.parts", &parts, place, reason());
        reader.no_effect("lm.lr", &lr, place, reason());
        reader.no_effect("lm.layers", &layers, place, reason());
        reader.no_effect("lm.rank", &rank, place, reason());
        reader.no_effect("lm.alpha", &alpha, place, reason());
        reader.no_effect("lm.modules", &modules, place, reason());
        return None;
    }
    let (place, parts) = match parts {
        Some(Given { value, place }) => (Some(place), value),
        None => (None, Parts::All),
    };
    if parts != Parts::Lora {
        let reason = || "any parts but `lora`".to_owned();
        reader.no_effect("lm.rank", &rank, place.as_ref(), reason());
        reader.no_effect("lm.alpha", &alpha, place.as_ref(), reason());
        reader.no_effect("lm.modules", &modules, place.as_ref(), reason());
    }
    let rank = rank.or_default_to(8);
    Some(LmSettings {
        lr: lr.or_default_to(if parts == Parts::All { 1e-5 } else { 1e-4 }),
        layers: layers.map(|given| given.value),
        parts: match parts {
            Parts::All => LmParts::All,
            Parts::Bias => LmParts::Bias,
            Parts::Lora => LmParts::Lora {
                rank,
                alpha: alpha.or_default_to(2.0 * rank as f64),
                modules: modules.or_default_to(Vec::new()),
            },
        },
    })
}
