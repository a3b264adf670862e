//! Models of a hub: what is fetched, what goes on, what is found again.

#[path = "common/hub.rs"]
mod hub_server;
#[path = "common/hub_stage.rs"]
mod hub_stage;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backbone::source::fetch::FetchEvent;
use backbone::source::fetch::hub::{Found, HubError, HubModel, Lacks, cached, fetch, located};
use hub_server::{COMMIT, Reply, sha256};
use hub_stage::{CONFIG, Stage, is_weights, names, weights};

const INDEX: &[u8] = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;

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
