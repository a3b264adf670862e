//! Runs, checkpoints, exports and inputs that cannot be used.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

#[test]
fn run_folders() {
    let _stable = stable();
    let folder = Folder::trained();
    folder.copy("runs/tiny", "runs/bestless");
    std::fs::remove_file(folder.path("runs/bestless/best.safetensors")).unwrap();
    folder.copy("runs/tiny", "runs/lastless");
    std::fs::remove_file(folder.path("runs/lastless/last.safetensors")).unwrap();
    folder.copy("runs/tiny", "runs/edited");
    let config = folder.text("runs/tiny/config.toml");
    folder.write("runs/edited/config.toml", config.replace("epochs = 4", "epochs = 4\nepoch = 5"));
    folder.write("runs/notes/README.md", "no run");
    let lines = [
        "eval runs/tinny",
        "resume tiny",
        "resume runs",
        "predict nowhere/tiny Peru",
        "eval runs/bestless",
        "resume runs/lastless",
        "eval runs/edited",
        "train --config config.toml --name notes --force",
    ];
    assert_snapshot!(refused(&folder, "", &lines), @r"
    $ eval runs/tinny
    error: runs/tinny: not a run folder: config.toml is missing
    hint: the nearest run is runs/tiny

    $ resume tiny
    error: tiny: not a run folder: config.toml is missing

    $ resume runs
    error: runs: not a run folder: config.toml is missing
    hint: the nearest run is runs/tiny

    $ predict nowhere/tiny Peru
    error: nowhere/tiny: not a run folder: config.toml is missing

    $ eval runs/bestless
    error: runs/bestless/best.safetensors: the run has no such checkpoint yet
    hint: `ptune resume runs/bestless` finishes its first epoch

    $ resume runs/lastless
    error: runs/lastless/last.safetensors: the run has nothing to go on from
    hint: `ptune train --force` with its config starts it again

    $ eval runs/edited
    error: runs/edited/config.toml:44:1: unknown key `train.epoch`
    hint: did you mean `train.epochs`?

    $ train --config config.toml --name notes --force
    error: runs/notes: is there already and is not a run; it is not replaced
    hint: --name NAME trains beside it
    ");
}

#[test]
fn overrides_of_what_a_run_has_settled() {
    let _stable = stable();
    let folder = Folder::trained();
    let lines = [
        "eval runs/tiny --set 'template.text=[h:3] [x] [z]'",
        "eval runs/tiny --set train.lr=1",
        "predict runs/tiny --set prompt_encoder.kind=mlp Peru",
        "resume runs/tiny --set seed=1",
        "resume runs/tiny --set name=other",
        "resume runs/tiny --set train.epochs=3",
        "resume runs/tiny --set train.epoch=3",
    ];
    assert_snapshot!(refused(&folder, "", &lines), @r"
    $ eval runs/tiny --set 'template.text=[h:3] [x] [z]'
    error: --set template.text=[h:3] [x] [z]: `template.text` of a run that is there cannot change
    hint: `ptune train` with another --name makes a run with it

    $ eval runs/tiny --set train.lr=1
    error: --set train.lr=1: `train.lr` of a run that is there cannot change
    hint: `ptune train` with another --name makes a run with it

    $ predict runs/tiny --set prompt_encoder.kind=mlp Peru
    error: --set prompt_encoder.kind=mlp: `prompt_encoder.kind` of a run that is there cannot change
    hint: `ptune train` with another --name makes a run with it

    $ resume runs/tiny --set seed=1
    error: --set seed=1: `seed` of a run that is there cannot change
    hint: `ptune train` with another --name makes a run with it

    $ resume runs/tiny --set name=other
    error: --set name=other: `name` of a run that is there cannot change
    hint: `ptune train` with another --name makes a run with it

    $ resume runs/tiny --set train.epochs=3
    error: train.epochs: expected 4 or more, found 3: runs/tiny is past that
    hint: --set train.epochs=4 ends the run where it is

    $ resume runs/tiny --set train.epoch=3
    error: --set train.epoch=3: unknown key `train.epoch`
    hint: did you mean `train.epochs`?
    ");
}

#[test]
fn checkpoints() {
    let _stable = stable();
    let folder = Folder::trained();
    let best = folder.read("runs/tiny/best.safetensors");
    for name in ["cut", "foreign", "shape"] {
        folder.copy("runs/tiny", &format!("runs/{name}"));
    }
    folder.write("runs/cut/best.safetensors", &best[..best.len() - 1]);
    folder.write("runs/cut/last.safetensors", &best[..100]);
    folder.write("runs/foreign/best.safetensors", folder.read("tiny_llama/model.safetensors"));
    let config = folder.text("runs/tiny/config.toml");
    folder.write("runs/shape/config.toml", config.replace("[h:2] capital", "[h:3] capital"));
    // Another backbone: its positions turn at another rate.
    folder.copy("tiny_llama", "other_llama");
    let config = folder.text("tiny_llama/config.json");
    folder.write("other_llama/config.json", config.replace("10000.0", "20000.0"));
    let lines = [
        "eval runs/cut",
        "resume runs/cut",
        "eval runs/foreign",
        "resume runs/shape",
        "eval runs/tiny --set backbone.source=other_llama",
    ];
    assert_snapshot!(refused(&folder, "", &lines), @r#"
    $ eval runs/cut
    error: runs/cut/best.safetensors: not a whole safetensors file
      because: incomplete metadata, file not fully covered

    $ resume runs/cut
    error: runs/cut/last.safetensors: not a whole safetensors file
      because: invalid header length

    $ eval runs/foreign
    error: runs/foreign/best.safetensors: expected a ptune checkpoint, found another kind of safetensors file

    $ resume runs/shape
    error: runs/shape/last.safetensors: template: expected "[h:3] capital of [x] [h:2] [z]" by the config, found "[h:2] capital of [x] [h:2] [z]"

    $ eval runs/tiny --set backbone.source=other_llama
    error: runs/tiny/best.safetensors: trained on tiny_llama (sha256 2c79f149d5d3…), but the backbone here is other_llama (sha256 2ffdbcc9b487…)
    hint: set backbone.source to the backbone it was trained on
    "#);
}

#[test]
fn exports() {
    let _stable = stable();
    let folder = Folder::trained();
    folder.write("here.safetensors", "mine");
    let lines = [
        "--format peft",
        "--format peft --peft-type p-tuning",
        "--format peft --peft-type prefix-tuning",
        "--format safetensors --out here.safetensors",
        "--format safetensors --out runs",
        "--format safetensors --out config.toml/prompt.safetensors",
        "--format safetensors --check check.json",
        "--format safetensors --peft-type p-tuning",
    ];
    assert_snapshot!(refused(&folder, "export runs/tiny", &lines), @r#"
    $ --format peft
    error: the template's 4 virtual tokens need rows of the vocabulary that nothing uses, and this backbone has 0
    hint: fewer virtual tokens, or --format safetensors, which needs no rows

    $ --format peft --peft-type p-tuning
    error: --peft-type p-tuning: PEFT prepends its prompt, and the template has virtual tokens behind words
    hint: --peft-type trainable-tokens holds virtual tokens anywhere

    $ --format peft --peft-type prefix-tuning
    error: --peft-type prefix-tuning: the template has no [prefix:…]
    hint: --peft-type prompt-tuning holds virtual tokens

    $ --format safetensors --out here.safetensors
    error: here.safetensors: is there already
    hint: --force replaces it

    $ --format safetensors --out runs
    error: runs: is there already
    hint: --force replaces it

    $ --format safetensors --out config.toml/prompt.safetensors
    error: config.toml: cannot be created
      because: File exists (os error [n])

    $ --format safetensors --check check.json
    error: --check belongs to --format peft and model
    hint: `ptune predict --prompt FILE` checks a safetensors export

    $ --format safetensors --peft-type p-tuning
    error: --peft-type belongs to --format peft
    hint: leave it out
    "#);
}

#[test]
fn inputs() {
    let _stable = stable();
    let folder = Folder::trained();
    folder.copy("runs/tiny", "out");
    let lines = [
        "predict runs/tiny",
        "predict runs/tiny ''",
        "predict runs/tiny '{\"country\": \"Peru\"}'",
        "predict runs/tiny '{\"x\": 3}'",
        "predict runs/tiny Peru --backbone tiny_llama",
        "predict --prompt out/promt.safetensors Peru",
        "predict --prompt out Peru",
        "predict --prompt tiny_llama/model.safetensors Peru",
        "predict --prompt out/best.safetensors Peru",
        "predict --prompt config.toml Peru",
        "predict --prompt out/prompt.safetensors",
        "predict --prompt out/prompt.safetensors --set train.lr=1 Peru",
        "predict --prompt out/prompt.safetensors --backbone nowhere Peru",
        "inspect runs/tiny --example '{\"country\": \"Peru\"}'",
    ];
    assert_snapshot!(refused(&folder, "", &lines), @r#"
    $ predict runs/tiny
    error: no input given
    hint: give inputs as arguments or on stdin, one per line

    $ predict runs/tiny ''
    error: input "": the field 'x' is empty

    $ predict runs/tiny '{"country": "Peru"}'
    error: input "Peru": the template needs the field 'x', the example has 'country'

    $ predict runs/tiny '{"x": 3}'
    error: input "{\"x\": 3}"
      because: the field 'x': expected text, found 3
    hint: write it in quotes

    $ predict runs/tiny Peru --backbone tiny_llama
    error: the following required arguments were not provided:
      --prompt <FILE>

    $ predict --prompt out/promt.safetensors Peru
    error: out/promt.safetensors: cannot be read
      because: No such file or directory (os error [n])

    $ predict --prompt out Peru
    error: out: cannot be read
      because: Is a directory (os error [n])

    $ predict --prompt tiny_llama/model.safetensors Peru
    error: tiny_llama/model.safetensors: expected a prompt that `ptune export --format safetensors` wrote, found another kind of safetensors file

    $ predict --prompt out/best.safetensors Peru
    error: out/best.safetensors: expected a prompt that `ptune export --format safetensors` wrote, found another kind of safetensors file

    $ predict --prompt config.toml Peru
    error: config.toml: not a whole safetensors file
      because: header too large

    $ predict --prompt out/prompt.safetensors
    error: no input given
    hint: give inputs as arguments or on stdin, one per line

    $ predict --prompt out/prompt.safetensors --set train.lr=1 Peru
    error: --set train.lr=1: an export has no config to set a key of
    hint: --backbone and --device are what an export takes

    $ predict --prompt out/prompt.safetensors --backbone nowhere Peru
    error: no backbone "nowhere": it is no name of the catalogue (smollm2-135m, bert-tiny), and there is no ./nowhere

    $ inspect runs/tiny --example '{"country": "Peru"}'
    error: the example: the template needs the field 'x', the example has 'country'
    "#);

    let ran = folder.run_with_input("predict runs/tiny", "Peru\n{\"x\": null}\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert_snapshot!(ran.stderr, @r"
    error: stdin, line 2
      because: the field 'x': expected text, found null
    hint: write it in quotes
    ");
}

#[test]
fn data_that_went_away() {
    let _stable = stable();
    let folder = Folder::trained();
    std::fs::remove_file(folder.path("data/dev.jsonl")).unwrap();
    let lines = ["eval runs/tiny", "resume runs/tiny", "inspect runs/tiny"];
    assert_snapshot!(refused(&folder, "", &lines), @r"
    $ eval runs/tiny
    error: cannot read data/dev.jsonl
      because: No such file or directory (os error [n])

    $ resume runs/tiny
    error: cannot read data/dev.jsonl
      because: No such file or directory (os error [n])

    $ inspect runs/tiny
    error: cannot read data/dev.jsonl
      because: No such file or directory (os error [n])
    ");
}
