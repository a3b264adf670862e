//! Bad arguments, settings and templates: each is refused with its place before anything is
//! written.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

#[test]
fn arguments() {
    let _stable = stable();
    let lines = [
        "trian",
        "train",
        "train --confg config.toml",
        "train --config confg.toml",
        "train --config tiny_llama",
        "eval",
        "eval runs/tiny --config config.toml",
        "eval runs/tiny --split tets",
        "eval runs/tiny --fail-under p1",
        "eval runs/tiny --fail-under p5=0.3",
        "eval runs/tiny --fail-under p1=40",
        "predict",
        "predict runs/tiny --top 0 Peru",
        "export runs/tiny --format onnx",
        "bench --virtual 20",
        "bench --backbone tiny_llama --length 65",
        "bench --batch 0",
        "estimate --backbone tiny_lama",
        "estimate --backbone tiny_llama --length 65",
        "estimate --backbone random:hiden=64",
        "estimate --backbone random:hidden=64,layers=two",
        "estimate --backbone random:hidden=64",
        "estimate --backbone random:hidden=64,intermediate=64,layers=1,heads=4,vocab=9 --tensors",
        "estimate --backbone random:hidden=64,intermediate=64,layers=1,heads=4,kv_heads=3,vocab=9",
        "fetch smollm-135m",
    ];
    assert_snapshot!(refused(&Folder::new(), "", &lines), @r#"
    $ trian
    error: unrecognized subcommand 'trian'

      tip: a similar subcommand exists: 'train'

    $ train
    error: the following required arguments were not provided:
      --config <FILE>

    $ train --confg config.toml
    error: unexpected argument '--confg' found

      tip: a similar argument exists: '--config'

    $ train --config confg.toml
    error: confg.toml: cannot read the settings: No such file or directory (os error [n])
    hint: did you mean config.toml?

    $ train --config tiny_llama
    error: tiny_llama: cannot read the settings: Is a directory (os error [n])

    $ eval
    error: the following required arguments were not provided:
      <RUN>

    $ eval runs/tiny --config config.toml
    error: the argument '[RUN]' cannot be used with '--config <FILE>'

    $ eval runs/tiny --split tets
    error: invalid value 'tets' for '--split <SPLIT>'
      [possible values: train, dev, test]

      tip: a similar value exists: 'test'

    $ eval runs/tiny --fail-under p1
    error: --fail-under p1: expected p1, p10, mrr or f1 = a number from 0 to 1
    hint: --fail-under p1=0.4

    $ eval runs/tiny --fail-under p5=0.3
    error: --fail-under p5=0.3: expected p1, p10, mrr or f1 = a number from 0 to 1
    hint: --fail-under p1=0.4

    $ eval runs/tiny --fail-under p1=40
    error: --fail-under p1=40: expected p1, p10, mrr or f1 = a number from 0 to 1
    hint: --fail-under p1=0.4

    $ predict
    error: a run folder, or --prompt with an export, is needed
    hint: ptune predict checkpoints/runs/lama-p36 Britain Japan

    $ predict runs/tiny --top 0 Peru
    error: invalid value '0' for '--top <TOP>': 0 is not in 1..=4294967295

    $ export runs/tiny --format onnx
    error: invalid value 'onnx' for '--format <FORMAT>'
      [possible values: safetensors, peft, model]

    $ bench --virtual 20
    error: --virtual 20: more than --length 16
    hint: the length includes the virtual tokens

    $ bench --backbone tiny_llama --length 65
    error: --length 65: the backbone has 64 positions
    hint: --length 64 or less

    $ bench --batch 0
    error: invalid value '0' for '--batch <BATCH>': 0 is not in 1..=65536

    $ estimate --backbone tiny_lama
    error: no backbone "tiny_lama": it is no name of the catalogue (smollm2-135m, bert-tiny), and there is no ./tiny_lama

    $ estimate --backbone tiny_llama --length 65
    error: --length 65: the backbone has 64 positions
    hint: --length 64 or less

    $ estimate --backbone random:hiden=64
    error: --backbone random:hiden=64: nothing is called 'hiden'; there are family, hidden, intermediate, layers, heads, kv_heads, vocab, weights
    hint: random:hidden=2048,intermediate=8192,layers=24,heads=32,vocab=49152 or random:family=bert,hidden=768,intermediate=3072,layers=12,heads=12,vocab=28996

    $ estimate --backbone random:hidden=64,layers=two
    error: --backbone random:hidden=64,layers=two: 'layers=two' is not layers=N with N from 1 to 16777216
    hint: random:hidden=2048,intermediate=8192,layers=24,heads=32,vocab=49152 or random:family=bert,hidden=768,intermediate=3072,layers=12,heads=12,vocab=28996

    $ estimate --backbone random:hidden=64
    error: --backbone random:hidden=64: intermediate is missing
    hint: random:hidden=2048,intermediate=8192,layers=24,heads=32,vocab=49152 or random:family=bert,hidden=768,intermediate=3072,layers=12,heads=12,vocab=28996

    $ estimate --backbone random:hidden=64,intermediate=64,layers=1,heads=4,vocab=9 --tensors
    error: --tensors: random:hidden=64,intermediate=64,layers=1,heads=4,vocab=9 has no files
    hint: name a folder, a .gguf file or a backbone of `ptune fetch`

    $ estimate --backbone random:hidden=64,intermediate=64,layers=1,heads=4,kv_heads=3,vocab=9
    error: random: 4 heads do not divide 64 into even widths, or 3 key heads not 4 heads

    $ fetch smollm-135m
    error: no backbone "smollm-135m" in the catalogue; known: smollm2-135m, bert-tiny
    hint: did you mean smollm2-135m?
    "#);
}

#[test]
fn settings() {
    let _stable = stable();
    let folder = Folder::new();
    let keys = [
        "--set train.learning_rate=1",
        "--set lr=1",
        "--set train.lr",
        "--set train.lr=fast",
        "--set train.lr=-1",
        "--set train.epochs=0",
        "--set train.epochs=ten",
        "--set train.lr=fast --set train.epoch=3 --set nonsense=1",
        "--set train.strategy=tuning-free",
        "--set train.strategy=fixed-prompt",
        "--set train.strategy=prompt_and_lm",
        "--set lm.parts=lora",
        "--set train.gamma=0.5",
        "--set prompt_encoder.kind=lstn",
        "--set prompt_encoder.hidden=7",
        "--set prompt_encoder.init=words",
        "--set 'eval.splits=[\"tset\"]'",
        "--set name=a/b",
        "--name ../outside",
        "--set runs=config.toml",
    ];
    assert_snapshot!(refused(&folder, "train --config config.toml", &keys), @r#"
    $ --set train.learning_rate=1
    error: --set train.learning_rate=1: unknown key `train.learning_rate`
    hint: did you mean `train.lr`?

    $ --set lr=1
    error: --set lr=1: unknown key `lr`
    hint: did you mean `train.lr`?

    $ --set train.lr
    error: --set train.lr: expected KEY=VALUE with a key such as `train.lr`
    hint: write `--set train.lr=3e-4`, without spaces around `=`

    $ --set train.lr=fast
    error: --set train.lr=fast: `train.lr`: expected a number above 0, found the text "fast"

    $ --set train.lr=-1
    error: --set train.lr=-1: `train.lr`: expected a number above 0, found -1

    $ --set train.epochs=0
    error: --set train.epochs=0: `train.epochs`: expected a whole number, at least 1, found 0

    $ --set train.epochs=ten
    error: --set train.epochs=ten: `train.epochs`: expected a whole number, at least 1, found the text "ten"

    $ --set train.lr=fast --set train.epoch=3 --set nonsense=1
    error: 3 problems in the settings
    --set train.lr=fast: `train.lr`: expected a number above 0, found the text "fast"
    --set train.epoch=3: unknown key `train.epoch`
      hint: did you mean `train.epochs`?
    --set nonsense=1: unknown key `nonsense`

    $ --set train.strategy=tuning-free
    error: train.strategy: 'tuning-free' learns nothing
    hint: `ptune eval --config` judges a template without training

    $ --set train.strategy=fixed-prompt
    error: template.text: the strategy 'fixed-prompt' leaves the prompt as it is, but the template has virtual tokens
    hint: write plain words, as in "The capital of [x] is [z]", or let both learn: prompt-and-lm

    $ --set train.strategy=prompt_and_lm
    error: --set train.strategy=prompt_and_lm: `train.strategy`: expected one of `tuning-free`, `fixed-lm`, `fixed-prompt`, `prompt-and-lm`, found the text "prompt_and_lm"
    hint: did you mean `prompt-and-lm`?

    $ --set lm.parts=lora
    error: --set lm.parts=lora: `lm.parts` has no effect with strategy `fixed-lm`, which leaves the language model as it is

    $ --set train.gamma=0.5
    error: --set train.gamma=0.5: `train.gamma` has no effect with schedule `constant`, only with `exponential`

    $ --set prompt_encoder.kind=lstn
    error: --set prompt_encoder.kind=lstn: `prompt_encoder.kind`: expected one of `lstm`, `mlp`, `direct`, found the text "lstn"
    hint: did you mean `lstm`?

    $ --set prompt_encoder.hidden=7
    error: --set prompt_encoder.hidden=7: `prompt_encoder.hidden`: expected an even number, half for each direction of the LSTM, found 7
    hint: 6 or 8

    $ --set prompt_encoder.init=words
    error: config.toml: missing key `prompt_encoder.words`: expected the words that init `words` starts from
    hint: words = "the capital of"

    $ --set 'eval.splits=["tset"]'
    error: --set eval.splits=["tset"]: `eval.splits`: expected one of `train`, `dev`, `test`, found the text "tset"
    hint: did you mean `test`?

    $ --set name=a/b
    error: --set name=a/b: `name`: expected a folder name of letters, digits, `-`, `_` and `.` that begins with none of `-` and `.`, found the text "a/b"

    $ --name ../outside
    error: --set name="../outside": `name`: expected a folder name of letters, digits, `-`, `_` and `.` that begins with none of `-` and `.`, found the text "../outside"

    $ --set runs=config.toml
    error: config.toml/tiny: cannot be created
      because: Not a directory (os error [n])
    "#);

    folder.write("torn.toml", "name = \"torn\n");
    folder.write("latin.toml", b"name = \"\xe9t\xe9\"\n");
    folder.write("empty.toml", "");
    let files = ["torn.toml", "latin.toml", "empty.toml"];
    assert_snapshot!(refused(&folder, "train --config", &files), @r#"
    $ torn.toml
    error: torn.toml:1:13: not valid TOML: invalid basic string, expected `"`

    $ latin.toml
    error: latin.toml: cannot read the settings: stream did not contain valid UTF-8
    hint: save the file as UTF-8

    $ empty.toml
    error: 3 problems in the settings
    empty.toml: missing key `data.path`: expected a folder that holds train.jsonl, dev.jsonl and test.jsonl
      hint: [data] path = "datasets/lama/P36"
    empty.toml: missing key `backbone.source`: expected a backbone's name, hf:ORGANISATION/MODEL, a Hugging Face folder or a .gguf file
      hint: [backbone] source = "smollm2-135m"
    empty.toml: missing key `template.text`: expected a template with an answer [z]
      hint: [template] text = "[h:3] capital [x] [h:3] [z]"
    "#);
}

#[test]
fn templates() {
    let _stable = stable();
    let folder = Folder::new();
    let lines = [
        "--set 'template.text=[h:2 capital [x] [z]'",
        "--set 'template.text=[h:2] capital of [x]'",
        "--set 'template.text=[h:2] [y] [x] [z]'",
        "--set 'template.text=[h:9999] [x] [z]'",
        "--set 'template.text=[h:2] [x] [z] .'",
        "--set 'template.text=[h:2] [x:country] [z]'",
        "--set 'template.text=capital of [x] [z]'",
        "--set 'template.text=[h:64] [x] [z]'",
        "--set 'template.text= '",
        "--set 'eval.manual=[h:2] [x] [z]'",
        "--set 'eval.manual=The capital of [x'",
    ];
    assert_snapshot!(refused(&folder, "train --config config.toml", &lines), @r#"
    $ --set 'template.text=[h:2 capital [x] [z]'
    error: --set template.text=[h:2 capital [x] [z]: `template.text`: template, column 4: expected a number of virtual tokens from 1 to 1024, found '2 capital '
      | [h:2 capital [x] [z]
      |    ^

    $ --set 'template.text=[h:2] capital of [x]'
    error: --set template.text=[h:2] capital of [x]: `template.text`: template, column 21: no [z]: a template must say where the answer stands
      | [h:2] capital of [x]
      |                     ^

    $ --set 'template.text=[h:2] [y] [x] [z]'
    error: --set template.text=[h:2] [y] [x] [z]: `template.text`: template, column 7: unknown slot [y]; expected [x], [x:field], [z], [h], [h:3], [h='words'], [h:3@tie] or [prefix:16]
      | [h:2] [y] [x] [z]
      |       ^

    $ --set 'template.text=[h:9999] [x] [z]'
    error: --set template.text=[h:9999] [x] [z]: `template.text`: template, column 4: expected a number of virtual tokens from 1 to 1024, found '9999'
      | [h:9999] [x] [z]
      |    ^

    $ --set 'template.text=[h:2] [x] [z] .'
    error: template.text: template, column 14: a causal language model reads left to right, so nothing may follow [z]
    hint: move [z] to the end, or use a masked language model

    $ --set 'template.text=[h:2] [x:country] [z]'
    error: --set template.text=[h:2] [x:country] [z]: `template.text`: the template needs the input 'country', but data.inputs has 'x'
    hint: write [x:NAME] in the template with a NAME of data.inputs, or add country = "KEY" there

    $ --set 'template.text=capital of [x] [z]'
    error: template.text: the strategy 'fixed-lm' learns virtual tokens, but the template has none
    hint: add some, as in "[h:3] capital [x] [h:3] [z]"; `ptune eval --config` scores a template without training

    $ --set 'template.text=[h:64] [x] [z]'
    error: data/train.jsonl:1: the example takes 66 positions, the language model has 64
    hint: write [x:x|head] or [x:x|tail] in the template to say which end of the text to keep

    $ --set 'template.text= '
    error: --set template.text= : `template.text`: expected text that is not blank, found the text ""

    $ --set 'eval.manual=[h:2] [x] [z]'
    error: eval.manual: a template that is scored without training cannot have virtual tokens
    hint: write plain words, as in "The capital of [x] is [z]"

    $ --set 'eval.manual=The capital of [x'
    error: --set eval.manual=The capital of [x: `eval.manual`: template, column 16: this bracket is never closed; write \[ for a literal bracket
      | The capital of [x
      |                ^
    "#);
}
