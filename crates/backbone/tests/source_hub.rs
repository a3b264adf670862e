//! Models of a hub: what is fetched, what goes on, what is refused, what is left.

#[path = "common/hub.rs"]
mod hub_server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backbone::source::fetch::FetchEvent;
use backbone::source::fetch::hub::{Found, Hub, HubError, HubModel, Lacks, cached, fetch, located};
use hub_server::{COMMIT, Hub as Server, Reply, Request, sha256};

const CONFIG: &[u8] = br#"{"model_type": "toy"}"#;
const INDEX: &[u8] = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;

/// Weights of some blocks, no two alike.
fn weights() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

/// A hub's server with a cache beside it.
struct Stage {
    folder: tempfile::TempDir,
    server: Server,
}

impl Stage {
    fn new(files: &[(&str, &[u8])]) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: Server::new("org/toy", files) }
    }

    /// A folder with one file of weights.
    fn plain() -> Self {
        Self::new(&[
            ("README.md", b"---\nlicense: mit\n---\n"),
            ("config.json", CONFIG),
            ("model.onnx", b"never asked for"),
            ("model.safetensors", &weights()),
            ("modeling_toy.py", b"never asked for"),
            ("tokenizer.json", b"{}"),
        ])
    }

    fn hub(&self) -> Hub {
        Hub {
            cache: self.folder.path().to_path_buf(),
            endpoint: self.server.address.clone(),
            token: Some("hf_secret".to_owned()),
            offline: false,
        }
    }

    fn fetch(&self, source: &str) -> Result<PathBuf, HubError> {
        let model: HubModel = source.parse().unwrap();
        fetch(&model, &self.hub(), &AtomicBool::new(false), &mut |_| {})
    }

    fn refused(&self, source: &str) -> String {
        let error = self.fetch(source).unwrap_err().to_string();
        let text = error.as_str();
        assert!(!text.contains("hf_secret"), "{text}");
        text.to_owned()
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("models--org--toy")
    }

    fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    fn blob(&self, bytes: &[u8]) -> PathBuf {
        self.repository().join("blobs").join(sha256(bytes))
    }

    fn part(&self, bytes: &[u8]) -> PathBuf {
        self.blob(bytes).with_extension("part")
    }

    /// Leaves a part of the weights as an earlier try would.
    fn leave_part(&self, bytes: &[u8]) {
        fs::create_dir_all(self.repository().join("blobs")).unwrap();
        fs::write(self.part(&weights()), bytes).unwrap();
    }

    /// What is not a model yet must not be taken for one.
    fn assert_absent(&self) {
        let model: HubModel = "hf:org/toy".parse().unwrap();
        assert!(matches!(located(&model, &self.hub()).unwrap(), Found::Absent(_)));
    }
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn is_weights(request: &Request) -> bool {
    request.path.ends_with("/model.safetensors") && request.method == "GET" && request.at_store
}

#[test]
fn a_folder_is_fetched_into_the_cache_that_others_share() {
    let stage = Stage::plain();
    let path = stage.fetch("hf:org/toy").unwrap();
    assert_eq!(path, stage.snapshot());
    assert_eq!(names(&path), ["README.md", "config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), weights());
    assert_eq!(fs::read(path.join("config.json")).unwrap(), CONFIG);
    let reference = fs::read_to_string(stage.repository().join("refs/main")).unwrap();
    assert_eq!(reference, COMMIT);
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(path.join("model.safetensors")).unwrap(),
        Path::new("../../blobs").join(sha256(&weights()))
    );
    assert_eq!(names(&stage.repository().join("blobs")).len(), 4, "no part is left");

    // The weights come last, nothing but the choice is asked for, and the token is the hub's alone.
    let requests = stage.server.requests();
    assert!(requests.iter().all(|request| !request.path.contains("never")));
    assert!(requests.iter().all(|request| !request.path.contains("onnx")));
    assert!(is_weights(requests.last().unwrap()), "{:?}", requests.last());
    for request in &requests {
        let token = request.headers.get("authorization").map(String::as_str);
        let expected = if request.at_store { None } else { Some("Bearer hf_secret") };
        assert_eq!(token, expected, "{request:?}");
    }
    assert!(requests.iter().any(|request| request.at_store));

    // Once more, it is only looked at.
    assert_eq!(stage.fetch("hf:org/toy").unwrap(), path);
    let again = stage.server.requests();
    assert_eq!(again.len(), 1, "{again:?}");
    let model: HubModel = "hf:org/toy".parse().unwrap();
    assert_eq!(located(&model, &stage.hub()).unwrap(), Found::Present(path.clone()));
    let commit = format!("hf:org/toy@{COMMIT}");
    assert_eq!(stage.fetch(&commit).unwrap(), path);
    assert!(stage.server.requests().is_empty(), "a commit never changes");
}

#[test]
fn shards_are_those_of_the_index() {
    let files: [(&str, &[u8]); 6] = [
        ("config.json", CONFIG),
        ("vocab.txt", b"[PAD]\n"),
        ("model.safetensors.index.json", INDEX),
        ("model-1.safetensors", b"first"),
        ("model-2.safetensors", b"second"),
        ("model-3.safetensors", b"of no use"),
    ];
    let stage = Stage::new(&files);
    let path = stage.fetch("hf:org/toy@v1.0").unwrap();
    let expected = [
        "config.json",
        "model-1.safetensors",
        "model-2.safetensors",
        "model.safetensors.index.json",
        "vocab.txt",
    ];
    assert_eq!(names(&path), expected);
    assert!(stage.repository().join("refs/v1.0").is_file());
    // All shards, or the model is not there.
    fs::remove_file(path.join("model-2.safetensors")).unwrap();
    let model: HubModel = "hf:org/toy@v1.0".parse().unwrap();
    assert_eq!(located(&model, &stage.hub()).unwrap(), Found::Absent(Lacks::Weights));
    stage.fetch("hf:org/toy@v1.0").unwrap();
    assert_eq!(fs::read(path.join("model-2.safetensors")).unwrap(), b"second");

    let stage = Stage::new(&files[..4]);
    assert!(stage.refused("hf:org/toy").contains("names \"model-2.safetensors\""));
    stage.assert_absent();
    let evil = br#"{"weight_map": {"a": "../../../x.safetensors"}}"#;
    let stage = Stage::new(&[files[0], files[1], ("model.safetensors.index.json", evil)]);
    let error = stage.fetch("hf:org/toy").unwrap_err();
    assert!(matches!(error, HubError::Index { .. }), "{error}");
    stage.assert_absent();
}

#[test]
fn one_gguf_of_several_is_fetched_by_its_name() {
    let files: [(&str, &[u8]); 4] = [
        ("README.md", b"x"),
        ("config.json", CONFIG),
        ("a.gguf", b"GGUF a"),
        ("b.gguf", b"GGUF b"),
    ];
    let stage = Stage::new(&files);
    let path = stage.fetch("hf:org/toy/b.gguf").unwrap();
    assert_eq!(path, stage.snapshot().join("b.gguf"));
    assert_eq!(fs::read(&path).unwrap(), b"GGUF b");
    assert_eq!(names(&stage.snapshot()), ["README.md", "b.gguf"]);
    let error = stage.refused("hf:org/toy/c.gguf");
    assert!(error.contains("org/toy has no c.gguf; its GGUF files are a.gguf, b.gguf"), "{error}");
    stage.fetch("hf:org/toy/a.gguf").unwrap();
    let listed: Vec<String> = cached(&stage.hub()).into_iter().map(|model| model.source).collect();
    assert_eq!(listed, ["hf:org/toy/a.gguf", "hf:org/toy/b.gguf"]);

    let stage = Stage::new(&files);
    assert!(stage.refused("hf:org/toy").contains("hint: name one, as in hf:org/toy/a.gguf"));
    let stage = Stage::new(&files[..3]);
    assert_eq!(stage.fetch("hf:org/toy").unwrap(), stage.snapshot().join("a.gguf"));
}

#[test]
fn a_cut_connection_goes_on_where_it_stopped() {
    let stage = Stage::plain();
    stage.server.tweak(|request, mut reply| {
        if is_weights(request) {
            reply.cut = Some(500_000);
        }
        reply
    });
    let error = stage.fetch("hf:org/toy").unwrap_err();
    let HubError::Cut { bytes, total, .. } = &error else { panic!("{error}") };
    assert!(*bytes <= 500_000 && *total == 1_200_000, "{error}");
    assert!(error.to_string().contains("hint: run it again"), "{error}");
    let kept = fs::metadata(stage.part(&weights())).unwrap().len();
    assert!(kept > 0 && kept <= 500_000, "{kept}");
    stage.assert_absent();

    stage.server.behave();
    stage.server.requests();
    let path = stage.fetch("hf:org/toy").unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), weights());
    let requests = stage.server.requests();
    let range =
        requests.iter().find(|request| is_weights(request)).unwrap().headers["range"].clone();
    assert_eq!(range, format!("bytes={kept}-"));
    assert!(!stage.part(&weights()).exists());
}

#[test]
fn parts_that_do_not_fit_are_done_over() {
    // A server that knows no ranges sends all of it.
    let stage = Stage::plain();
    stage.leave_part(&weights()[..1000]);
    stage.server.tweak(|request, reply| match is_weights(request) {
        true => Reply::new(200, weights()),
        false => reply,
    });
    let path = stage.fetch("hf:org/toy").unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), weights());

    // A part that is whole needs no request; one that is whole and wrong, or too long, is done over.
    let stage = Stage::plain();
    stage.leave_part(&weights());
    let path = stage.fetch("hf:org/toy").unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), weights());
    assert!(!stage.server.requests().iter().any(is_weights));
    let mut wrong = weights();
    wrong[77] ^= 1;
    for left in [wrong.clone(), [weights(), vec![0]].concat()] {
        let stage = Stage::plain();
        stage.leave_part(&left);
        let path = stage.fetch("hf:org/toy").unwrap();
        assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), weights());
    }

    // A server that refuses to go on from there is asked for all of it.
    let stage = Stage::plain();
    stage.leave_part(&weights()[..1000]);
    stage.server.tweak(|request, reply| {
        let ranged = request.headers.contains_key("range");
        if is_weights(request) && ranged { Reply::new(416, "") } else { reply }
    });
    let path = stage.fetch("hf:org/toy").unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), weights());

    // A part of another file: an error says so, it goes, and the next try is right.
    let stage = Stage::plain();
    stage.leave_part(&wrong[..1000]);
    let error = stage.refused("hf:org/toy");
    assert!(
        error.contains("wrong hash") && error.contains("hint: the part kept from an earlier"),
        "{error}"
    );
    assert!(!stage.part(&weights()).exists());
    stage.assert_absent();
    stage.fetch("hf:org/toy").unwrap();

    // A range from elsewhere is not appended.
    let stage = Stage::plain();
    stage.leave_part(&weights()[..1000]);
    stage.server.tweak(|request, reply| match is_weights(request) {
        true => reply.with("Content-Range", "bytes 900-1199999/1200000"),
        false => reply,
    });
    assert!(stage.refused("hf:org/toy").contains("expected a Content-Range"));
    assert_eq!(fs::read(stage.part(&weights())).unwrap(), &weights()[..1000]);
}

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

#[test]
fn a_branch_moves_when_it_is_fetched_again() {
    let stage = Stage::plain();
    let old = stage.fetch("hf:org/toy").unwrap();
    stage.server.requests();
    let commit = "f".repeat(40);
    stage.server.move_on(&commit);
    let new = stage.fetch("hf:org/toy").unwrap();
    assert_eq!(new, stage.repository().join("snapshots").join(&commit));
    let model: HubModel = "hf:org/toy".parse().unwrap();
    assert_eq!(located(&model, &stage.hub()).unwrap(), Found::Present(new.clone()));
    // What has not changed is looked at and not fetched again.
    assert!(
        stage
            .server
            .requests()
            .iter()
            .all(|request| { request.method == "HEAD" || request.path.contains("/revision/") })
    );
    for folder in [old, new] {
        assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    }
    // Another commit than the one that was asked for is not taken.
    assert!(
        stage.refused(&format!("hf:org/toy@{}", "e".repeat(40))).contains("the commit that was")
    );
}

#[test]
fn two_at_once_fetch_each_file_once() {
    let stage = Stage::plain();
    stage.server.tweak(|request, mut reply| {
        if is_weights(request) {
            reply.silence = Duration::from_millis(500);
        }
        reply
    });
    std::thread::scope(|scope| {
        let fetching = [(), ()].map(|()| scope.spawn(|| stage.fetch("hf:org/toy")));
        for fetched in fetching {
            assert_eq!(fetched.join().unwrap().unwrap(), stage.snapshot());
        }
    });
    let requests = stage.server.requests();
    assert_eq!(requests.iter().filter(|request| is_weights(request)).count(), 1);
    assert_eq!(fs::read(stage.snapshot().join("model.safetensors")).unwrap(), weights());
}

#[test]
fn what_python_fetched_is_found() {
    let stage = Stage::plain();
    stage.fetch("hf:org/toy@refs/pr/5").unwrap();
    let model = |source: &str| source.parse::<HubModel>().unwrap();
    assert!(stage.repository().join("refs/refs/pr/5").is_file());
    assert_eq!(
        located(&model("hf:org/toy@refs/pr/5"), &stage.hub()).unwrap(),
        Found::Present(stage.snapshot())
    );
    stage.assert_absent();
    // As huggingface_hub writes it, which ends the line in some versions.
    fs::write(stage.repository().join("refs/main"), format!("{COMMIT}\n")).unwrap();
    assert_eq!(
        located(&model("hf:org/toy"), &stage.hub()).unwrap(),
        Found::Present(stage.snapshot())
    );

    let old = stage.folder.path().join("models--gpt0/snapshots").join(COMMIT);
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("x.gguf"), "GGUF").unwrap();
    fs::create_dir_all(stage.folder.path().join("models--org--half/blobs")).unwrap();
    fs::create_dir_all(stage.folder.path().join("datasets--org--data/snapshots")).unwrap();
    let listed: Vec<(String, bool)> = cached(&stage.hub())
        .into_iter()
        .map(|model| (model.source, matches!(model.found, Found::Present(_))))
        .collect();
    let expected = [
        (old.join("x.gguf").display().to_string(), true),
        ("hf:org/half".to_owned(), false),
        ("hf:org/toy".to_owned(), true),
        ("hf:org/toy@refs/pr/5".to_owned(), true),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn an_interruption_is_prompt_and_keeps_the_part() {
    let stage = Stage::plain();
    stage.server.tweak(|request, mut reply| {
        if is_weights(request) {
            (reply.cut, reply.silence) = (Some(400_000), Duration::from_secs(60));
        }
        reply
    });
    let (model, cancel) = ("hf:org/toy".parse::<HubModel>().unwrap(), AtomicBool::new(false));
    let mut set = None;
    let mut silent_since = Instant::now();
    let error = std::thread::scope(|scope| {
        let cancel = &cancel;
        // Set while the server keeps silent.
        scope.spawn(move || {
            std::thread::sleep(Duration::from_secs(2));
            cancel.store(true, Ordering::Relaxed);
        });
        fetch(&model, &stage.hub(), cancel, &mut |event| {
            if let FetchEvent::File { name, bytes, total } = event
                && name == "model.safetensors"
            {
                silent_since = Instant::now();
                set = Some((bytes, total));
            }
        })
        .unwrap_err()
    });
    assert!(matches!(error, HubError::Interrupted), "{error}");
    assert!(silent_since.elapsed() < Duration::from_secs(10));
    let (bytes, total) = set.unwrap();
    assert!(bytes <= 400_000 && total == 1_200_000);
    assert_eq!(fs::metadata(stage.part(&weights())).unwrap().len(), bytes);
    stage.assert_absent();

    // Before anything, too.
    let error = fetch(&model, &stage.hub(), &AtomicBool::new(true), &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::Interrupted), "{error}");
}
