//! Loading settings: what is accepted, and what each mistake is told.

use std::path::{Path, PathBuf};

use trainer::settings::*;

const LEAST: &str = "\
[backbone]
source = \"smollm2-135m\"
[data]
path = \"data\"
[template]
text = \"[h:3] [x] [z]\"
";

fn read(text: &str, overrides: &[&str]) -> Result<Settings, SettingsError> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    from_toml_str(text, Path::new("job.toml"), &overrides)
}

fn error(text: &str, overrides: &[&str]) -> String {
    read(text, overrides).expect_err("must be refused").to_string()
}

/// What is said of the least config with one more line in `[train]`.
fn train_error(line: &str) -> String {
    error(&format!("{LEAST}[train]\n{line}\n"), &[])
}

#[test]
fn defaults_fill_what_is_not_given() {
    let settings = read(LEAST, &[]).unwrap();
    assert_eq!(settings.name, "job");
    assert_eq!(settings.device, "flex");
    assert_eq!(settings.data.train, PathBuf::from("data/train.jsonl"));
    assert_eq!(settings.data.inputs["x"], "x");
    assert_eq!(settings.prompt_encoder.kind, PromptEncoderKind::Lstm { hidden: None });
    assert_eq!(settings.prompt_encoder.init, PromptInit::Normal { std: 1.0 });
    assert_eq!(settings.train.schedule, Schedule::Constant);
    assert_eq!(settings.train.clip_norm, None);
    let direct = read(LEAST, &["prompt_encoder.kind=direct"]).unwrap();
    assert_eq!(direct.prompt_encoder.init, PromptInit::Normal { std: 0.02 });
}

#[test]
fn resolved_settings_load_back_equal() {
    let variants: &[&[&str]] = &[
        &[],
        &[
            "train.schedule=linear",
            "train.warmup_steps=5",
            "data.limit=3",
            "seed=9223372036854775807",
        ],
        &["train.schedule=exponential", "train.gamma=0.9", "train.optimizer=adamw"],
        &[
            "train.schedule=cosine",
            "train.clip_norm=1",
            "train.patience=2",
            "eval.splits=[\"dev\"]",
        ],
        &["prompt_encoder.kind=mlp", "prompt_encoder.hidden=7", "prompt_encoder.init=vocabulary"],
        &[
            "prompt_encoder.kind=direct",
            "prompt_encoder.init=words",
            "prompt_encoder.words=a \"b\"",
        ],
        &["prompt_encoder.hidden=64", "prompt_encoder.std=0.3", "train.eps=1e-12", "train.lr=1"],
        &[
            "data.candidates=[\"dataset\", \"w.txt\"]",
            "eval.manual=[x] is\\[z]",
            "train.shuffle=false",
        ],
        &[
            "data.candidates=vocabulary",
            "data.inputs={a=\"b\", \"c d\"=\"é\"}",
            "train.betas=[0,0.5]",
        ],
    ];
    for overrides in variants {
        let settings = read(LEAST, overrides).unwrap_or_else(|error| panic!("{error}"));
        let text = settings.to_toml().unwrap();
        let again = from_toml_str(&text, Path::new("elsewhere/config.toml"), &[])
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(again, settings, "{text}");
    }
}

#[test]
fn overrides_are_toml_or_bare_text_and_win() {
    let overrides = [
        "train.lr=3e-4",
        "device = wgpu:0",
        "name=2024",
        "template.text=[x] = [z]",
        "train.lr=0.5",
    ];
    let settings = read(LEAST, &overrides).unwrap();
    assert_eq!(settings.train.lr, 0.5);
    assert_eq!(settings.device, "wgpu:0");
    assert_eq!(settings.name, "2024");
    assert_eq!(settings.template.text, "[x] = [z]");
    assert_eq!(read(LEAST, &["name=\"quoted\""]).unwrap().name, "quoted");
    let inputs = read(LEAST, &["data.inputs.x=sub", "data.inputs.y=obj"]).unwrap().data.inputs;
    assert_eq!((inputs["x"].as_str(), inputs["y"].as_str()), ("sub", "obj"));
    // A table for a section changes its keys only.
    let merged = read(LEAST, &["train.epochs=3", "train={lr=2}"]).unwrap().train;
    assert_eq!((merged.epochs, merged.lr), (3, 2.0));
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    let text =
        format!("sead = 1\n{LEAST}[train]\nlr = -1\n  epochs = 0\nlearning_rate = 2\n[evil]\n");
    let error = read(&text, &["train.batch_size=many"]).unwrap_err();
    let expected = "\
6 problems in the settings
job.toml:1:1: unknown key `sead`
  hint: did you mean `seed`?
job.toml:9:6: `train.lr`: expected a number above 0, found -1
job.toml:10:12: `train.epochs`: expected a whole number, at least 1, found 0
job.toml:11:1: unknown key `train.learning_rate`
  hint: did you mean `train.lr`?
job.toml:12:2: unknown key `evil`
  hint: did you mean the section [eval]?
--set train.batch_size=many: `train.batch_size`: expected a whole number, at least 1, found the text \"many\"";
    assert_eq!(error.to_string(), expected);
    let columns = |problem: &Problem| match problem.place {
        Place::File { column, .. } => column,
        _ => 0,
    };
    assert_eq!(error.problems.iter().map(columns).collect::<Vec<_>>(), [1, 6, 12, 1, 2, 0]);
}

#[test]
fn columns_count_characters_and_a_byte_order_mark_is_let_pass() {
    let text = format!("\u{feff}name = \"ärger\"\r\nrunz = 1\r\n{LEAST}");
    assert!(error(&text, &[]).starts_with("job.toml:2:1: unknown key `runz`"));
    let text =
        LEAST.replace("path = \"data\"", "inputs = { \"ä\" = \"ö\", x = 3 }\npath = \"data\"");
    assert!(error(&text, &[]).starts_with("job.toml:4:10: `data.inputs`: expected a table"));
    let text = format!("\u{feff}nam = 1\n{LEAST}");
    assert!(error(&text, &[]).starts_with("job.toml:1:1: unknown key `nam`"));
}

#[test]
fn values_out_of_range_are_refused() {
    for (line, expected) in [
        ("lr = 0", "a number above 0, found 0"),
        ("lr = nan", "a number above 0, found NaN"),
        ("lr = inf", "a number above 0, found inf"),
        ("lr = \"1e-3\"", "a number above 0, found the text \"1e-3\""),
        ("betas = [0.9, 1]", "below 1, found the list [0.9, 1]"),
        ("betas = [0.9]", "two numbers"),
        ("betas = 0.9", "two numbers"),
        ("eps = 0", "a number above 0"),
        ("weight_decay = -0.1", "at least 0, found -0.1"),
        ("schedule = \"exponential\"\ngamma = 1.1", "at most 1, found 1.1"),
        ("warmup_steps = -1", "at least 0, found -1"),
        ("epochs = 1.5", "a whole number, at least 1, found 1.5"),
        ("epochs = 99999999999999999999999", "found 99999999999999999999999"),
        ("epochs = 1979-05-27", "found the date 1979-05-27"),
        ("shuffle = 1", "`true` or `false`, found 1"),
        ("optimizer = \"admw\"", "hint: did you mean `adamw`?"),
        ("optimizer = [\"adam\"]", "one of `adam`, `adamw`, found the list"),
        ("clip_norm = 0", "a number above 0"),
        ("patience = 0", "at least 1"),
        ("strategy = \"fixd-lm\"", "hint: did you mean `fixed-lm`?"),
    ] {
        let told = train_error(line);
        assert!(told.contains(expected), "{line}: {told}");
        assert!(!told.contains("problems"), "{line}: {told}");
    }
    for name in ["", "a/b", "..", "-x", "a b", "."] {
        assert!(read(LEAST, &[&format!("name=\"{name}\"")]).is_err(), "{name:?}");
    }
    assert!(error(LEAST, &["seed=-1"]).contains("at least 0, found -1"));
    assert!(error(LEAST, &["prompt_encoder.hidden=33"]).contains("hint: 32 or 34"));
    assert!(error(LEAST, &["data.candidates=[1]"]).contains("found 1"));
    assert!(error(LEAST, &["data.candidates=[]"]).contains("found the list []"));
    assert!(error(LEAST, &["data.inputs={}"]).contains("`data.inputs`: expected a table"));
    assert!(error(LEAST, &["eval.splits=dev"]).contains("hint: splits = [\"dev\"]"));
    assert!(error(LEAST, &["eval.splits=[\"deb\"]"]).contains("hint: did you mean `dev`?"));
    assert!(error(LEAST, &["train=3"]).contains("expected a section [train], found 3"));
    assert!(error(LEAST, &["seed.x=3"]).contains("`seed`: expected a whole number"));
}

#[test]
fn values_that_would_be_ignored_are_refused() {
    let told = train_error("gamma = 0.9");
    assert!(told.starts_with("job.toml:8:9: `train.gamma` has no effect with schedule `constant`"));
    let told = error(LEAST, &["prompt_encoder.words=a"]);
    assert!(told.contains("`prompt_encoder.words` has no effect with init `normal`"), "{told}");
    let told = error(LEAST, &["prompt_encoder.kind=direct", "prompt_encoder.hidden=8"]);
    assert!(told.contains("`prompt_encoder.hidden` has no effect with kind `direct`"), "{told}");
    // But the command line may choose another schedule than the file, whose gamma stays behind.
    let text = format!("{LEAST}[train]\nschedule = \"exponential\"\ngamma = 0.9\n");
    let settings = read(&text, &["train.schedule=cosine"]).unwrap();
    assert_eq!(settings.train.schedule, Schedule::Cosine);
}

#[test]
fn what_must_be_given_is_asked_for() {
    let told = error("", &[]);
    for expected in [
        "3 problems",
        "job.toml: missing key `backbone.source`: expected a backbone's name",
        "job.toml: missing key `data.path`",
        "job.toml: missing key `template.text`",
        "  hint: [template] text = ",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    // A wrong value is one problem, not two.
    assert!(!error(LEAST, &["template.text=\"\""]).contains("missing"));
    let told = error(LEAST, &["prompt_encoder.init=words"]);
    assert!(told.contains("missing key `prompt_encoder.words`"), "{told}");
    let told = error(&LEAST.replace("path", "train"), &[]);
    assert!(told.contains("missing key `data.dev`") && !told.contains("data.path"), "{told}");
}

#[test]
fn syntax_errors_have_places_and_bad_arguments_are_named() {
    let told = error("seed = \n[train]\nlr = 1 2\n", &[]);
    assert!(told.contains("job.toml:1:"), "{told}");
    assert!(told.contains("job.toml:3:"), "{told}");
    assert!(!told.contains("missing key"), "{told}");
    assert!(
        error(&format!("seed = 1\nseed = 2\n{LEAST}"), &[])
            .contains("job.toml:2:1: not valid TOML")
    );
    for argument in ["train.lr", "=1", "train..lr=1", "train lr=1", ""] {
        let told = error(LEAST, &[argument]);
        assert!(told.contains(&format!("--set {argument}: expected KEY=VALUE")), "{told}");
    }
}

#[test]
fn paths_are_found_from_the_config_and_listed_when_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    let config = write("configs/job.toml", &LEAST.replace("\"data\"", "\"sets/one\""));
    let told = load(&config, &[]).unwrap_err().to_string();
    assert!(told.contains("`data.path`: no file or folder `sets/one`; looked for\n"), "{told}");
    for tried in ["configs/sets/one", "sets/one"] {
        assert!(told.contains(&format!("\n    {}\n", root.join(tried).display())), "{told}");
    }
    let train = write("sets/one/train.jsonl", "");
    let told = load(&config, &[]).unwrap_err().to_string();
    assert!(told.contains("`data.path`: no file or folder `dev.jsonl`"), "{told}");
    assert!(told.contains("hint: name a file of another name by `data.dev = \"…\"`"), "{told}");
    let dev = write("sets/one/dev.jsonl", "");
    let settings = load(&config, &[]).unwrap();
    assert_eq!((&settings.data.train, &settings.data.dev), (&train, &dev));
    assert_eq!(settings.data.test, None);
    assert_eq!(settings.eval.splits, [Split::Dev]);
    let asked = load(&config, &["eval.splits=[\"test\"]".to_owned()]).unwrap_err().to_string();
    assert!(asked.contains("data that has no test split"), "{asked}");

    // The copy in a run folder finds the same files.
    let stored = write("runs/job/config.toml", &settings.to_toml().unwrap());
    assert_eq!(load(&stored, &[]).unwrap(), settings);
    // A folder on the command line replaces the files that a stored config names.
    write("two/train.jsonl", "");
    write("two/dev.jsonl", "");
    let two = format!("data.path={}", root.join("two").display());
    assert_eq!(load(&stored, &[two]).unwrap().data.dev, root.join("two/dev.jsonl"));

    // Near names: of a word, of a file, of the config itself.
    let near = |argument: &str| load(&config, &[argument.to_owned()]).unwrap_err().to_string();
    assert!(near("data.candidates=datset").contains("hint: did you mean `dataset`?"));
    assert!(
        near("data.path=sets/ones")
            .contains(&format!("did you mean {}?", root.join("sets/one").display()))
    );
    let told = load(&root.join("configs/jb.toml"), &[]).unwrap_err().to_string();
    assert!(told.contains("cannot read the settings"), "{told}");
    assert!(told.contains(&format!("hint: did you mean {}?", config.display())), "{told}");
    let a_file = near(&format!("data.path={}", train.display()));
    assert!(a_file.contains("`data.path`: expected a folder, found the file"), "{a_file}");
    // Without its data a stored config still loads, for a prompt to be used.
    std::fs::remove_dir_all(root.join("sets")).unwrap();
    let text = settings.to_toml().unwrap();
    assert_eq!(from_toml_str(&text, &stored, &[]).unwrap(), settings);
}
