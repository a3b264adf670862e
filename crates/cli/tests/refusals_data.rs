//! Data, backbones and devices that cannot be used.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

#[test]
fn data() {
    let _stable = stable();
    let folder = Folder::new();
    let row = "{\"x\": \"Britain\", \"z\": \"London\"}\n";
    let files: [(&str, &[u8]); 7] = [
        ("json.jsonl", b"{\"x\": \"Egypt\", \"z\": Cairo}\n"),
        ("list.jsonl", b"[1, 2]\n"),
        ("key.jsonl", b"{\"xx\": \"Egypt\", \"z\": \"Cairo\"}\n"),
        ("number.jsonl", b"{\"x\": 3, \"z\": \"Cairo\"}\n"),
        ("blank.jsonl", b"{\"x\": \" \", \"z\": \"Cairo\"}\n"),
        ("latin.jsonl", b"{\"x\": \"\xc9gypte\", \"z\": \"Cairo\"}\n"),
        ("table.csv", b"x,z\n"),
    ];
    for (name, line) in files {
        folder.write(name, [row.as_bytes(), line].concat());
    }
    let long = "Egypt of the ".repeat(40);
    folder.write("long.jsonl", format!("{row}{{\"x\": \"{long}\", \"z\": \"Cairo\"}}\n"));
    folder.write("nothing.jsonl", "\n");
    folder.write("several.jsonl", "{\"x\": \"Britain\", \"z\": \"The capital\"}\n");
    folder.write("words.txt", "Tokyo\nLondon\n");
    let lines = [
        "--set data.train=data/trian.jsonl",
        "--set data.train=json.jsonl",
        "--set data.train=list.jsonl",
        "--set data.train=key.jsonl",
        "--set data.train=number.jsonl",
        "--set data.train=blank.jsonl",
        "--set data.train=latin.jsonl",
        "--set data.train=long.jsonl",
        "--set data.train=table.csv",
        "--set data.train=nothing.jsonl",
        "--set data.train=several.jsonl",
        "--set data.test=several.jsonl",
        "--set data.candidates=words.txt",
    ];
    assert_snapshot!(refused(&folder, "train --config config.toml", &lines), @r#"
    $ --set data.train=data/trian.jsonl
    error: --set data.train=data/trian.jsonl: `data.train`: no file or folder `data/trian.jsonl`; looked for
        [places]
    hint: did you mean [folder]/data/train.jsonl?

    $ --set data.train=json.jsonl
    error: json.jsonl:2:21: not valid JSON
      because: expected value at line 2 column 21
    hint: one JSON object per line, such as {"x": "Japan", "z": "Tokyo"}

    $ --set data.train=list.jsonl
    error: list.jsonl:2: expected an object {…}, found a list

    $ --set data.train=key.jsonl
    error: key.jsonl:2: missing key `x`, named by `data.inputs.x`; found `xx`, `z`
    hint: set `data.inputs.x` to one of the row's keys

    $ --set data.train=number.jsonl
    error: number.jsonl:2: `x`: expected text, found a number
    hint: write it in quotes

    $ --set data.train=blank.jsonl
    error: blank.jsonl:2: `x` is empty
    hint: leave the row out

    $ --set data.train=latin.jsonl
    error: latin.jsonl:2: byte 8 of the line is not UTF-8
    hint: save the file as UTF-8

    $ --set data.train=long.jsonl
    error: long.jsonl:2: the example takes 286 positions, the language model has 64
    hint: write [x:x|head] or [x:x|tail] in the template to say which end of the text to keep

    $ --set data.train=table.csv
    error: table.csv: unknown kind of data file
    hint: known extensions: .jsonl, .ndjson

    $ --set data.train=nothing.jsonl
    error: nothing.jsonl: the file is empty

    $ --set data.train=several.jsonl
    error: several.jsonl: the train split has no usable example: of 1, 1 have an answer of several tokens and 0 an answer that is not a candidate
    hint: an answer has to be one token of the backbone's tokenizer, such as a frequent word

    $ --set data.test=several.jsonl
    error: several.jsonl: the test split has no usable example: of 1, 1 have an answer of several tokens and 0 an answer that is not a candidate
    hint: an answer has to be one token of the backbone's tokenizer, such as a frequent word

    $ --set data.candidates=words.txt
    error: data/dev.jsonl: the dev split has no usable example: of 4, 0 have an answer of several tokens and 4 an answer that is not a candidate
    hint: `data.candidates = "dataset"` takes the data's own answers as candidates
    "#);

    std::fs::remove_file(folder.path("data/test.jsonl")).unwrap();
    let lines = ["--set 'eval.splits=[\"dev\", \"test\"]'"];
    assert_snapshot!(refused(&folder, "train --config config.toml", &lines), @r#"
    $ --set 'eval.splits=["dev", "test"]'
    error: --set eval.splits=["dev", "test"]: `eval.splits` has no effect with data that has no test split
    hint: data.test = "…" names its file
    "#);
}

#[test]
fn backbones_and_devices() {
    let _stable = stable();
    let folder = Folder::new();
    for name in ["damaged", "torn", "foreign", "tokenless"] {
        folder.copy_llama(name);
    }
    let weights = folder.read("tiny_llama/model.safetensors");
    folder.write("damaged/model.safetensors", &weights[..1000]);
    let config = folder.text("tiny_llama/config.json");
    folder.write("torn/config.json", &config[..40]);
    folder.write("foreign/config.json", config.replace("\"llama\"", "\"bertha\""));
    folder.write("tokenless/tokenizer.json", "{}");
    folder.write("hollow/README.md", "nothing here");
    folder.write("model.gguf", "GGUF");
    let lines = [
        "--set backbone.source=smollm2-135m --offline",
        "--set backbone.source=smollm2-135 --offline",
        "--set backbone.source=gpt2 --offline",
        "--set backbone.source=hollow",
        "--set backbone.source=config.toml",
        "--set backbone.source=damaged",
        "--set backbone.source=torn",
        "--set backbone.source=foreign",
        "--set backbone.source=tokenless",
        "--set backbone.source=model.gguf",
        "--device gpu",
        "--device cuda:x",
        "--device flex:1",
    ];
    assert_snapshot!(refused(&folder, "train --config config.toml", &lines), @r#"
    $ --set backbone.source=smollm2-135m --offline
    error: the backbone 'smollm2-135m' is not here, and --offline forbids to download it
    hint: run `ptune fetch smollm2-135m` where there is a network, or name a folder

    $ --set backbone.source=smollm2-135 --offline
    error: no backbone "smollm2-135": it is no name of the catalogue (smollm2-135m, bert-tiny), and there is no ./smollm2-135
    hint: did you mean smollm2-135m?

    $ --set backbone.source=gpt2 --offline
    error: no backbone "gpt2": it is no name of the catalogue (smollm2-135m, bert-tiny), and there is no ./gpt2

    $ --set backbone.source=hollow
    error: ./hollow has no config.json
    hint: a model folder holds config.json, model.safetensors and tokenizer.json, or exactly one .gguf file

    $ --set backbone.source=config.toml
    error: ./config.toml is not a backbone
    hint: name a .gguf file, or a folder with config.json, model.safetensors and tokenizer.json

    $ --set backbone.source=damaged
    error: ./damaged/model.safetensors is not a valid safetensors file
      because: invalid header length

    $ --set backbone.source=torn
    error: ./torn/config.json is not valid JSON
      because: EOF while parsing a string at line 3 column 17

    $ --set backbone.source=foreign
    error: ./foreign/config.json: unknown model_type 'bertha'; known: albert, bert, distilbert, electra, gemma3_text, gpt2, gpt_neox, llama, modernbert, mt5, opt, qwen2, qwen3, roberta, t5, umt5, xlm-roberta
    hint: the nearest is 'bert'

    $ --set backbone.source=tokenless
    error: cannot build the tokenizer of ./tokenless/tokenizer.json
      because: tokenizer.json is not a tokenizer
      because: Model missing. at line 1 column 2

    $ --set backbone.source=model.gguf
    error: ./model.gguf is not a valid GGUF file
      because: byte 4: expected 4 more bytes for the version, the file has 0; is it whole?

    $ --device gpu
    error: --set device="gpu": `device`: unknown device 'gpu'; expected flex, wgpu, vulkan, cuda or tch, with a number or 'cpu' after a colon where there are several (wgpu:0, wgpu:cpu)
    hint: did you mean 'wgpu'?

    $ --device cuda:x
    error: --set device="cuda:x": `device`: unknown device 'cuda:x'; expected flex, wgpu, vulkan, cuda or tch, with a number or 'cpu' after a colon where there are several (wgpu:0, wgpu:cpu)
    hint: did you mean 'cuda'?

    $ --device flex:1
    error: --set device="flex:1": `device`: unknown device 'flex:1'; expected flex, wgpu, vulkan, cuda or tch, with a number or 'cpu' after a colon where there are several (wgpu:0, wgpu:cpu)
    hint: did you mean 'flex'?
    "#);
}

#[test]
fn a_device_that_is_not_built_in() {
    let folder = Folder::new();
    let doctor = folder.run("doctor").stdout;
    for device in ["wgpu", "vulkan", "cuda", "tch"] {
        // Builds with the feature have nothing to refuse.
        if doctor.contains(&format!("not built in (cargo build --release --features {device})")) {
            let line = format!("--device {device}");
            let told = refused(&folder, "train --config config.toml", &[&line]);
            let expected = format!(
                "error: this ptune was built without the device '{device}'\n\
                 hint: cargo build --release --features {device}\n"
            );
            assert!(told.contains(&expected), "{told}");
        }
    }
}
