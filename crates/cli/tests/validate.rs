//! `ptune validate`: everything that is wrong at once, one batch if nothing is, and never a file written.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

#[test]
fn a_config_without_problems_is_tried_on_one_batch() {
    let _stable = stable();
    let folder = Folder::new();
    folder.write("other.toml", folder.text("config.toml").replace("\"tiny\"", "\"other\""));
    let before = folder.tree();
    assert_snapshot!(folder.run("validate config.toml other.toml"), @"
    exit 0
    --- stdout
    config.toml: nothing is wrong; one batch of 2 examples trained with, loss [n]
    other.toml: nothing is wrong; one batch of 2 examples trained with, loss [n]
    --- stderr
    ");
    let free = "--set train.strategy=tuning-free";
    assert_snapshot!(folder.run(&format!("validate config.toml {free}")), @"
    exit 0
    --- stdout
    config.toml: nothing is wrong; one batch of 4 examples judged, loss [n]
    --- stderr
    ");
    assert!(folder.tree() == before, "wrote something");
    // The first step of training sees the same batch.
    let loss = |text: &str| text.split("loss ").nth(1).unwrap()[..5].to_owned();
    let tried = loss(&folder.run("validate config.toml").stdout);
    let trained = folder.run("train --config config.toml --set log.every=1");
    let first = trained.stderr.lines().find(|line| line.contains("step 1/")).unwrap();
    assert_eq!(loss(first), tried, "{trained}");
}

#[test]
fn problems_of_settings_and_templates_are_told_together() {
    let _stable = stable();
    let folder = Folder::new();
    let text = folder.text("config.toml");
    let text = text
        .replace("lr = 1e-2", "lr = -1\nepoch = 3")
        .replace("[h:2] capital of [x] [h:2] [z]", "[h:2] capital of [y] [z]")
        .replace("The capital of [x] is", "The capital of [x:land] is")
        .replace("name = ", "device = \"felx\"\nname = ");
    folder.write("wrong.toml", &text);
    folder.write("worse.toml", text.replace("[h:2] capital", "[h:0] capital").replace("-1", "0"));
    let lines = ["wrong.toml", "wrong.toml worse.toml config.toml"];
    let told = lines.map(|line| folder.run(&format!("validate {line}")));
    assert_snapshot!(told[0], @r#"
    exit 2
    --- stdout
    --- stderr
    error: 5 problems
    wrong.toml:1:10: `device`: unknown device 'felx'; expected flex, wgpu, vulkan, cuda or tch, with a number or 'cpu' after a colon where there are several (wgpu:0, wgpu:cpu)
      hint: did you mean 'flex'?
    wrong.toml:9:8: `template.text`: template, column 18: unknown slot [y]; expected [x], [x:field], [z], [h], [h:3], [h='words'], [h:3@tie] or [prefix:16]
      | [h:2] capital of [y] [z]
      |                  ^
    wrong.toml:11:6: `train.lr`: expected a number above 0, found -1
    wrong.toml:12:1: unknown key `train.epoch`
      hint: did you mean `train.epochs`?
    wrong.toml:16:10: `eval.manual`: the template needs the input 'land', but data.inputs has 'x'
      hint: write [x:NAME] in the template with a NAME of data.inputs, or add land = "KEY" there
    "#);
    let second = &told[1];
    assert_eq!(second.code, Some(2), "{second}");
    assert!(second.stdout.starts_with("config.toml: nothing is wrong"), "{second}");
    assert!(second.stderr.contains("10 problems\nwrong.toml:1:10: `device`"), "{second}");
    assert_eq!(second.stderr.matches("\nworse.toml:").count(), 5, "{second}");
    // Training tells the same.
    let trained = folder.run("train --config wrong.toml");
    assert_eq!(trained.code, Some(2));
    assert!(trained.stderr.contains("5 problems in the settings\n"), "{trained}");
    for line in told[0].stderr.lines().skip(1) {
        assert!(trained.stderr.contains(line), "{line}: {trained}");
    }
}

#[test]
fn problems_of_data_backbone_labels_and_examples_are_told_together() {
    let _stable = stable();
    let folder = Folder::new();
    let row = r#"{"x": "Britain", "label": "europe"}"#;
    folder
        .write("rows/train.jsonl", format!("{row}\n{{\"x\": \"Egypt\", \"label\": \"afrika\"}}\n"));
    folder.write("rows/dev.jsonl", format!("{row}\n{{\"x\": \"Egypt\", \"label\": \"asia\"}}\n"));
    folder.write("torn/train.jsonl", format!("{row}\n{{\"x\": \"Egypt\"\n"));
    folder.write("torn/dev.jsonl", r#"{"y": "Britain", "label": "europe"}"#);
    let config = r#"runs = "runs"
[backbone]
source = "tiny_llama"
[data]
path = "rows"
answer = "label"
[template]
text = "[h:2] capital of [x] is [z]"
[verbalizer]
labels = { europe = ["London", "Londonderry"], africa = ["Cairo", "Nairobi"] }
[eval]
manual = "[h:1] [x] is [z]"
"#;
    folder.write("labels.toml", config);
    let lines = [
        "labels.toml",
        "labels.toml --set 'verbalizer.labels={ europe = \"London\", africa = \"Cairo\" }'",
        "labels.toml --set data.path=torn --set backbone.source=smollm2-135m",
        "config.toml --set 'template.text=capital of [x] [z]'",
        "config.toml --set 'template.text=[h:64] [x] [z]'",
        "config.toml --set 'template.text=[h:2] [x] [z] .'",
        "config.toml --set train.lr=fast --set prompt_encoder.kind=lstn",
        "nowhere.toml",
    ];
    assert_snapshot!(refused(&folder, "validate", &lines), @r#"
    $ labels.toml
    error: 3 problems
    labels.toml:10:10: verbalizer.labels: the word 'Londonderry' of the label 'europe' is 6 tokens here (ĠLondon + d + e + r + r + y)
      hint: a label word has to be one token of the backbone's tokenizer, such as a frequent word
    labels.toml:10:10: verbalizer.labels: the word 'Nairobi' of the label 'africa' is 6 tokens here (Ġ + N + ai + ro + <unk> + i)
      hint: a label word has to be one token of the backbone's tokenizer, such as a frequent word
    labels.toml:12:10: eval.manual: a template that is scored without training cannot have virtual tokens
      hint: write plain words, as in "The capital of [x] is [z]"

    $ labels.toml --set 'verbalizer.labels={ europe = "London", africa = "Cairo" }'
    error: 3 problems
    rows/train.jsonl:2: `label`: expected one of the labels 'europe', 'africa', found 'afrika'
      hint: did you mean 'africa'?
    rows/dev.jsonl:2: `label`: expected one of the labels 'europe', 'africa', found 'asia'
      hint: add it to verbalizer.labels with words that stand for it
    labels.toml:12:10: eval.manual: a template that is scored without training cannot have virtual tokens
      hint: write plain words, as in "The capital of [x] is [z]"

    $ labels.toml --set data.path=torn --set backbone.source=smollm2-135m
    error: 3 problems
    torn/train.jsonl:2:13: not valid JSON
      because: EOF while parsing an object at line 2 column 13
      hint: one JSON object per line, such as {"x": "Japan", "z": "Tokyo"}
    torn/dev.jsonl:1: missing key `x`, named by `data.inputs.x`; found `y`, `label`
      hint: set `data.inputs.x` to one of the row's keys
    --set backbone.source=smollm2-135m: backbone.source: the backbone 'smollm2-135m' is not here yet
      hint: `ptune fetch smollm2-135m` downloads it

    $ config.toml --set 'template.text=capital of [x] [z]'
    error: --set template.text=capital of [x] [z]: template.text: the strategy 'fixed-lm' learns virtual tokens, but the template has none
    hint: add some, as in "[h:3] capital [x] [h:3] [z]"; `ptune eval --config` scores a template without training

    $ config.toml --set 'template.text=[h:64] [x] [z]'
    error: 3 problems
    data/train.jsonl:1: the example takes 66 positions, the language model has 64
      hint: write [x:x|head] or [x:x|tail] in the template to say which end of the text to keep
    data/dev.jsonl:1: the example takes 67 positions, the language model has 64
      hint: write [x:x|head] or [x:x|tail] in the template to say which end of the text to keep
    data/test.jsonl:1: the example takes 66 positions, the language model has 64
      hint: write [x:x|head] or [x:x|tail] in the template to say which end of the text to keep

    $ config.toml --set 'template.text=[h:2] [x] [z] .'
    error: --set template.text=[h:2] [x] [z] .: template.text: template, column 14: a causal language model reads left to right, so nothing may follow [z]
    hint: move [z] to the end, or use a masked language model

    $ config.toml --set train.lr=fast --set prompt_encoder.kind=lstn
    error: 2 problems
    --set train.lr=fast: `train.lr`: expected a number above 0, found the text "fast"
    --set prompt_encoder.kind=lstn: `prompt_encoder.kind`: expected one of `lstm`, `mlp`, `direct`, found the text "lstn"
      hint: did you mean `lstm`?

    $ nowhere.toml
    error: nowhere.toml: cannot read the settings: No such file or directory (os error [n])
    "#);
}
