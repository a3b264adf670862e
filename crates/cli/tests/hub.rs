//! Backbones of a hub, and the list of those that are here.

#[path = "../../backbone/tests/common/hub.rs"]
mod hub_server;

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Folder, Ran};
use hub_server::{COMMIT, Hub, Reply, Request};

const FILES: [&str; 4] =
    ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];

fn golden(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbone/tests/golden").join(model)
}

fn tiny_bert() -> Hub {
    Hub::of_folder("tiny/bert", &golden("tiny_bert"), &FILES)
}

/// A folder whose config asks for the hub's model, and a masked template.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write(
        "masked.toml",
        r#"name = "masked"
runs = "runs"
[backbone]
source = "hf:tiny/bert"
[data]
path = "data"
[template]
text = "[h:2] [z] capital [x] [h:1]"
[train]
epochs = 1
[eval]
manual = "[z] capital [x]"
"#,
    );
    folder
}

fn run(folder: &Folder, hub: &Hub, line: &str) -> Ran {
    folder.run_with(line, "", &[("HF_ENDPOINT", &hub.address)])
}

#[test]
fn a_model_of_a_hub_is_fetched_once_and_used_everywhere() {
    let (folder, hub) = (folder(), tiny_bert());
    let refused = run(&folder, &hub, "eval --config masked.toml --offline");
    assert_eq!(refused.code, Some(2), "{refused}");
    let expected = "error: the backbone 'hf:tiny/bert' is not here: nothing of revision main is \
                    there, and --offline forbids to download it\nhint: run `ptune fetch hf:tiny/bert`";
    assert!(refused.stderr.starts_with(expected), "{refused}");
    assert!(hub.requests().is_empty());

    let fetched = run(&folder, &hub, "fetch hf:tiny/bert");
    assert_eq!(fetched.code, Some(0), "{fetched}");
    let snapshot = folder.path("hf/hub/models--tiny--bert/snapshots").join(COMMIT);
    assert_eq!(fetched.stdout.trim_end(), snapshot.display().to_string());
    assert!(fetched.stderr.contains("model.safetensors (103 kB)"), "{fetched}");

    // From here on no hub is asked.
    hub.requests();
    let trained = run(&folder, &hub, "train --config masked.toml --quiet");
    assert_eq!((trained.code, trained.stderr.as_str()), (Some(0), ""), "{trained}");
    for line in [
        "eval --config masked.toml --split test",
        "eval runs/masked --split test --offline",
        "predict runs/masked France India",
        "predict --prompt runs/masked/prompt.safetensors France --offline",
        "predict --prompt runs/masked/prompt.safetensors --backbone hf:tiny/bert France",
        "eval --config config.toml --set backbone.source=hf:tiny/bert --set 'eval.manual=[z] of [x]' \
         --set 'template.text=[h:1] [z] of [x]' --split test",
        "estimate --backbone hf:tiny/bert --length 8 --virtual 3 --leading 2",
        "bench --backbone hf:tiny/bert --length 8 --virtual 3 --leading 2 --steps 1 --batch 2",
    ] {
        let ran = run(&folder, &hub, line);
        assert_eq!(ran.code, Some(0), "{line}: {ran}");
        assert!(!ran.stdout.is_empty(), "{line}: {ran}");
    }
    assert!(hub.requests().is_empty());

    // Told by the repository's name, not by its commit.
    let other = "predict runs/masked France --set backbone.source=tiny_llama";
    let other = run(&folder, &hub, other);
    assert!(other.stderr.contains("tiny/bert (sha256 "), "{other}");

    let offline = [("HF_ENDPOINT", hub.address.as_str()), ("HF_HUB_OFFLINE", "1")];
    let again = folder.run_with("fetch hf:tiny/bert", "", &offline);
    assert_eq!((again.code, &again.stdout), (Some(0), &fetched.stdout), "{again}");
    let other = folder.run_with("fetch hf:tiny/other", "", &offline);
    assert_eq!(other.code, Some(2), "{other}");
    assert!(other.stderr.contains("HF_HUB_OFFLINE forbids"), "{other}");
    assert!(hub.requests().is_empty());
}

#[test]
fn a_missing_model_is_fetched_on_the_way() {
    let (folder, hub) = (folder(), tiny_bert());
    let ran = run(&folder, &hub, "eval --config masked.toml --split test");
    assert_eq!(ran.code, Some(0), "{ran}");
    let expected = "the backbone 'hf:tiny/bert' is not here yet: nothing of revision main is there\n\
                    fetching hf:tiny/bert from ";
    assert!(ran.stderr.starts_with(expected), "{ran}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_fetch_and_the_next_one_goes_on() {
    let (folder, hub) = (folder(), tiny_bert());
    hub.tweak(|request, mut reply| {
        if request.at_store {
            (reply.cut, reply.silence) = (Some(50_000), Duration::from_secs(60));
        }
        reply
    });
    let mut child = Command::new(common::PTUNE)
        .args(["fetch", "hf:tiny/bert"])
        .env("PTUNE_CACHE", folder.path("cache"))
        .env("HF_HOME", folder.path("hf"))
        .env("HF_ENDPOINT", &hub.address)
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("model.safetensors") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the fetch ended before Ctrl-C");
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let begun = Instant::now();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{rest}");
    assert!(rest.contains("interrupted; what has come is kept for the next time"), "{rest}");

    hub.behave();
    hub.requests();
    assert_eq!(run(&folder, &hub, "fetch hf:tiny/bert").code, Some(0));
    let ranged = |request: &Request| request.at_store && request.headers.contains_key("range");
    assert!(hub.requests().iter().any(ranged));
}

#[test]
fn refusals_end_with_a_hint() {
    let (folder, hub) = (folder(), tiny_bert());
    for (line, expected) in [
        ("fetch hf:foo", "the organisation in front of the model is missing"),
        ("fetch hf:tiny/bert@..", "the revision is no branch, tag or commit"),
        ("fetch hf:tiny/other", "the hub has no repository or revision tiny/other@main"),
        ("fetch hf:tiny/bert/x.gguf", "tiny/bert has no x.gguf; its GGUF files are none"),
        ("eval --config masked.toml --set backbone.source=hf:foo", "names no model of a hub"),
        ("estimate --backbone hf:a/b/c/d", "more parts than organisation, model and file"),
    ] {
        let ran = run(&folder, &hub, line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}: {ran}");
        assert!(ran.stderr.contains(expected), "{line}: {ran}");
    }
    hub.tweak(|_, _| Reply::new(403, "").with("X-Error-Code", "GatedRepo"));
    let ran = run(&folder, &hub, "fetch hf:tiny/bert");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("hint: accept the model's licence on "), "{ran}");
    let ran = folder.run_with("fetch hf:tiny/bert", "", &[("HF_ENDPOINT", "nowhere")]);
    assert!(ran.stderr.contains("HF_ENDPOINT is \"nowhere\""), "{ran}");
}

#[test]
fn backbones_lists_what_is_here_and_what_is_wrong_with_it() {
    let folder = folder();
    let empty = folder.run("backbones");
    assert_eq!((empty.code, empty.stderr.as_str()), (Some(0), ""), "{empty}");
    assert!(empty.stdout.contains("not fetched (ptune fetch smollm2-135m)"), "{empty}");
    assert_eq!(folder.run("backbones --format json").json().as_array().unwrap().len(), 2);

    let readme = b"---\nlicense: mit\n---\n";
    let files = FILES.map(|name| (name, std::fs::read(golden("tiny_bert").join(name)).unwrap()));
    let mut files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    files.push(("README.md", readme));
    let hub = Hub::new("tiny/bert", &files);
    assert_eq!(run(&folder, &hub, "fetch hf:tiny/bert").code, Some(0));
    let gguf = Hub::of_folder("tiny/llama", &golden("gguf"), &["tiny.gguf", "Q4_0.gguf"]);
    assert_eq!(run(&folder, &gguf, "fetch hf:tiny/llama/tiny.gguf@v1").code, Some(0));
    let snapshot = |name: &str| format!("hf/hub/models--{name}/snapshots/{COMMIT}");
    for (name, config) in [
        ("a--unknown", r#"{"model_type": "brt"}"#),
        ("b--damaged", "{"),
        ("c--part", r#"{"model_type": "bert"}"#),
    ] {
        let place = snapshot(name);
        folder.write(&format!("{place}/config.json"), config);
        folder.write(&format!("{place}/tokenizer.json"), files[2].1);
        if name != "c--part" {
            folder.write(&format!("{place}/model.safetensors"), files[1].1);
        }
    }

    let listed = folder.run("backbones --format json").json();
    let listed: Vec<&serde_json::Value> = listed.as_array().unwrap()[2..].iter().collect();
    let sources: Vec<&str> = listed.iter().map(|model| model["source"].as_str().unwrap()).collect();
    let expected = [
        format!("hf:a/unknown@{COMMIT}"),
        format!("hf:b/damaged@{COMMIT}"),
        format!("hf:c/part@{COMMIT}"),
        "hf:tiny/bert".to_owned(),
        "hf:tiny/llama/tiny.gguf@v1".to_owned(),
    ];
    assert_eq!(sources, expected);
    let problem = |index: usize| listed[index]["problem"].as_str().unwrap();
    assert!(problem(0).contains("brt"), "{}", problem(0));
    assert!(problem(1).contains("config.json"), "{}", problem(1));
    assert!(problem(2).contains("the weights, or a part of them, are missing"), "{}", problem(2));
    let bert = listed[3];
    assert_eq!(bert["usable"], true, "{bert}");
    assert_eq!(bert["family"], "bert");
    assert_eq!(bert["licence"], "mit");
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden("tiny_bert").join("config.json")).unwrap())
            .unwrap();
    assert_eq!(bert["vocabulary"], config["vocab_size"]);
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(bert["bytes"], bytes);
    assert!(bert["parameters"].as_u64().unwrap() > 1000, "{bert}");
    assert_eq!(listed[4]["family"], "llama", "{}", listed[4]);
    assert_eq!(listed[4]["licence"], "unknown");

    let table = folder.run("backbones");
    assert_eq!(table.code, Some(0), "{table}");
    for part in ["hf:tiny/bert ", "thousand", " mit\n", "hf:c/part@", "looked in "] {
        assert!(table.stdout.contains(part), "{part}: {table}");
    }
    // Each name works where a name is asked for.
    let estimate =
        "estimate --backbone hf:tiny/llama/tiny.gguf@v1 --length 4 --virtual 2 --leading 1";
    assert_eq!(folder.run(&format!("{estimate} --offline")).code, Some(0));
}
