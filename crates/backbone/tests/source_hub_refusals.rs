//! Models of a hub: what is refused, with which words, and that nothing of it is left.

#[path = "common/hub.rs"]
mod hub_server;
#[path = "common/hub_stage.rs"]
mod hub_stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use backbone::source::fetch::hub::{Hub, HubError, HubModel, fetch};
use hub_server::{COMMIT, Reply, sha256};
use hub_stage::{Stage, is_weights, names, weights};

#[test]
fn another_content_or_size_is_refused() {
    let stage = Stage::plain();
    stage.server.tweak(|request, mut reply| {
        if is_weights(request) {
            reply.body[1_000_000] ^= 1;
        }
        reply
    });
    let error = stage.fetch("hf:org/toy").unwrap_err();
    let HubError::WrongHash { file, expected, resumed: false, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((file.as_str(), expected), ("model.safetensors", &sha256(&weights())));
    assert!(!stage.part(&weights()).exists() && !stage.blob(&weights()).exists());
    stage.assert_absent();

    // More than was promised does not fill the disk.
    stage.server.tweak(|request, mut reply| {
        if is_weights(request) {
            reply.body.extend(vec![0; 1_000_000]);
        }
        reply
    });
    let error = stage.fetch("hf:org/toy").unwrap_err();
    assert!(matches!(error, HubError::WrongSize { expected: 1_200_000, .. }), "{error}");
    // And sizes that contradict each other are told before a byte comes.
    stage.server.requests();
    stage.server.tweak(|request, reply| match request.method.as_str() {
        "HEAD" if request.path.contains("resolve/") => reply.with("X-Linked-Size", "7"),
        _ => reply,
    });
    let error = stage.fetch("hf:org/toy").unwrap_err();
    assert!(matches!(error, HubError::WrongSize { found: 7, .. }), "{error}");
    assert!(!stage.server.requests().iter().any(is_weights));
    stage.assert_absent();
}

/// Everything below a folder, with its content.
fn tree(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else {
                all.push((path, metadata.len()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn nothing_that_a_hostile_hub_names_becomes_a_path() {
    let evil = ["../../escape", "/etc/escape", "..", "a/b", "", "x", "a\\\\b", "%2e%2e%2fescape"];
    for name in evil {
        let stage = Stage::plain();
        let inner = tempfile::tempdir_in(stage.folder.path()).unwrap();
        let hub = Hub { cache: inner.path().join("a/b/c"), ..stage.hub() };
        let attempt = |what: &str| {
            let model: HubModel = "hf:org/toy".parse().unwrap();
            let error = fetch(&model, &hub, &AtomicBool::new(false), &mut |_| {}).unwrap_err();
            assert!(matches!(error, HubError::Answer { .. }), "{what} {name:?}: {error}");
            // Nothing outside of the cache, and no file of that name in it.
            let outside: Vec<_> = tree(stage.folder.path())
                .into_iter()
                .filter(|(path, _)| !path.starts_with(&hub.cache))
                .collect();
            assert!(outside.is_empty(), "{what} {name:?}: {outside:?}");
            assert!(!tree(stage.folder.path()).iter().any(|(path, _)| path.ends_with("escape")));
        };
        let value = name.to_owned();
        stage.server.tweak(move |_, reply| reply.with("X-Linked-Etag", format!("\"{value}\"")));
        attempt("etag");
        let value = name.to_owned();
        stage.server.tweak(move |_, reply| reply.with("X-Repo-Commit", value.clone()));
        attempt("commit of a file");
        let value = name.to_owned();
        stage.server.tweak(move |request, reply| {
            if !request.path.contains("/revision/") {
                return reply;
            }
            let body = serde_json::json!({ "sha": value, "siblings": [] });
            Reply::new(200, body.to_string())
        });
        attempt("commit of the listing");
    }

    // Names of files that lead elsewhere are never chosen.
    let stage = Stage::plain();
    stage.server.tweak(|request, reply| {
        if !request.path.contains("/revision/") {
            return reply;
        }
        let mut listing: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        for name in
            ["../../../LICENSE", "/LICENSE", "LICENSE/../x", "../spiece.model", "a/config.json"]
        {
            listing["siblings"]
                .as_array_mut()
                .unwrap()
                .push(serde_json::json!({ "rfilename": name }));
        }
        Reply::new(200, listing.to_string())
    });
    let path = stage.fetch("hf:org/toy").unwrap();
    assert_eq!(names(&path).len(), 4);
}

#[test]
fn answers_that_are_no_hubs_are_refused() {
    let refused = |reply: Reply| {
        let stage = Stage::plain();
        stage.server.tweak(move |_, _| reply.clone());
        let error = stage.refused("hf:org/toy");
        assert!(error.contains("hint: "), "{error}");
        error
    };
    assert!(refused(Reply::new(200, "<html>\x1b[31mhello")).contains("a JSON listing"));
    assert!(refused(Reply::new(200, "{}")).contains("a commit of 40"));
    let listing = format!("{{\"sha\": \"{COMMIT}\"}}");
    assert!(refused(Reply::new(200, listing)).contains("a list of files"));
    assert!(refused(Reply::new(500, "")).contains("the hub has trouble"));
    assert!(refused(Reply::new(429, "")).contains("set HF_TOKEN"));
    let listing =
        format!("{{\"sha\": \"{COMMIT}\", \"siblings\": [{{\"rfilename\": \"x.onnx\"}}]}}");
    assert!(refused(Reply::new(200, listing)).contains("there are x.onnx"));

    // Redirections without an end, and one without an address.
    let stage = Stage::plain();
    stage.server.tweak(|request, reply| match request.path.contains("resolve") {
        true => Reply::new(302, "").with("Location", request.path.clone()),
        false => reply,
    });
    assert!(stage.refused("hf:org/toy").contains("one redirection after another"));
    stage.server.tweak(|request, reply| match request.path.contains("resolve") {
        true => Reply::new(302, "").with("X-Repo-Commit", COMMIT).with("ETag", "12345678"),
        false => reply,
    });
    assert!(stage.refused("hf:org/toy").contains("a size in"));
    stage.assert_absent();
}

#[test]
fn refusals_say_what_to_do() {
    let refused = |source: &str, token: bool, reply: Reply| {
        let stage = Stage::plain();
        stage.server.tweak(move |_, _| reply.clone());
        let model: HubModel = source.parse().unwrap();
        let hub = Hub { token: token.then(|| "hf_secret".to_owned()), ..stage.hub() };
        let error = fetch(&model, &hub, &AtomicBool::new(false), &mut |_| {}).unwrap_err();
        error.to_string().replace(&hub.endpoint, "HUB")
    };
    let gated = Reply::new(403, "")
        .with("X-Error-Code", "GatedRepo")
        .with("X-Error-Message", "Access is restricted");
    let error = refused("hf:org/toy", false, gated.clone());
    assert!(error.contains("refuses hf:org/toy (403)"), "{error}");
    assert!(
        error.contains("hint: accept the model's licence on HUB/org/toy, and set HF_TOKEN"),
        "{error}"
    );
    assert!(error.contains("Access is restricted"), "{error}");
    assert!(refused("hf:org/toy", true, gated).contains("as the token's owner"));
    let private = Reply::new(401, "").with("X-Error-Code", "RepoNotFound");
    assert!(
        refused("hf:org/toy", false, private.clone())
            .contains("private or gated model set HF_TOKEN")
    );
    assert!(refused("hf:org/toy", true, private).contains("whether the token may read it"));

    let error =
        refused("hf:org/toi", false, Reply::new(404, "").with("X-Error-Code", "RepoNotFound"));
    assert!(
        error.contains("no repository or revision org/toi@main") && error.contains("HUB/org/toi"),
        "{error}"
    );
    let revision = Reply::new(404, "").with("X-Error-Code", "RevisionNotFound");
    assert!(refused("hf:org/toy@v9", false, revision).contains("no revision v9 of org/toy"));
}

#[test]
fn no_network_and_no_permission_to_use_it() {
    let stage = Stage::plain();
    let model: HubModel = "hf:org/toy".parse().unwrap();
    let never = AtomicBool::new(false);
    // Nobody listens at a port that has just been let go.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hub = Hub { endpoint: format!("http://{free}"), ..stage.hub() };
    let error = fetch(&model, &hub, &never, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error}");
    assert!(error.to_string().contains("HTTPS_PROXY"), "{error}");

    let hub = Hub { offline: true, ..stage.hub() };
    let text = |model: &HubModel| fetch(model, &hub, &never, &mut |_| {}).unwrap_err().to_string();
    assert!(text(&model).contains("nothing of revision main is there; and HF_HUB_OFFLINE"));
    stage.fetch("hf:org/toy").unwrap();
    stage.server.requests();
    assert_eq!(fetch(&model, &hub, &never, &mut |_| {}).unwrap(), stage.snapshot());
    fs::remove_file(stage.blob(&weights())).unwrap();
    assert!(text(&model).contains("the weights, or a part of them, are missing"));
    fs::remove_file(stage.snapshot().join("tokenizer.json")).unwrap();
    assert!(text(&model).contains("the tokenizer is missing"));
    assert!(stage.server.requests().is_empty());

    fs::write(stage.repository().join("refs/main"), "../../..").unwrap();
    assert!(text(&model).contains("should hold a commit and holds \"../../..\""));
    let file: HubModel = format!("hf:org/toy/x.gguf@{COMMIT}").parse().unwrap();
    assert!(text(&file).contains("x.gguf is missing"));
}
