//! Several tasks in one run: virtual tokens shared and their own, a run folder of each, resume.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

/// A second task.
const OTHER: &str = r#"name = "other"
runs = "runs"
[backbone]
source = "tiny_llama"
[data]
path = "data"
[template]
text = "[h:2@shared] [x] is of [z]"
[train]
lr = 1e-2
epochs = 4
batch_size = 2
"#;

const TRAIN: &str = "train --config first.toml --config other.toml --name both --quiet";

fn folder() -> Folder {
    let folder = Folder::new();
    let first = folder.text("config.toml");
    folder.write(
        "first.toml",
        first
            .replace("name = \"tiny\"", "name = \"first\"")
            .replace("[h:2] cap", "[h:2@shared] cap"),
    );
    folder.write("other.toml", OTHER);
    folder
}

#[test]
fn two_tasks_learn_together_and_each_has_its_prompt() {
    let _stable = stable();
    let folder = folder();
    let ran = folder.run(&TRAIN.replace(" --quiet", ""));
    assert_snapshot!(ran, @r#"
    exit 0
    --- stdout
    first
    dev: 4 of 4 examples, 6 candidates
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    test: 3 of 3 examples, 6 candidates
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    other
    dev: 4 of 4 examples, 6 candidates
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      majority [n] [n] [n]       -  always "Cairo"
    test: 3 of 3 examples, 6 candidates
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      majority [n] [n] [n]       -  always "Cairo"
    dev, mean of 2 tasks: P@1 [n] P@10 [n] MRR [n] loss [n]
    test, mean of 2 tasks: P@1 [n] P@10 [n] MRR [n] loss [n]
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    run folder runs/both
    4 virtual tokens, 2 of them shared; trained as first says
    first: train 6 of 6 examples
    first: dev   4 of 4 examples
    other: train 6 of 6 examples
    other: dev   4 of 4 examples
    epoch 1/4 step 6/6 loss [n] [n] examples/s, [time] left
    epoch 1/4 train loss [n], dev P@1 [n] P@10 [n] MRR [n] loss [n]  (best so far)
    epoch 2/4 step 6/6 loss [n] [n] examples/s, [time] left
    epoch 2/4 train loss [n], dev P@1 [n] P@10 [n] MRR [n] loss [n]  (best so far)
    epoch 3/4 step 6/6 loss [n] [n] examples/s, [time] left
    epoch 3/4 train loss [n], dev P@1 [n] P@10 [n] MRR [n] loss [n]
    epoch 4/4 step 6/6 loss [n] [n] examples/s, [time] left
    epoch 4/4 train loss [n], dev P@1 [n] P@10 [n] MRR [n] loss [n]
    trained in [time]; judging the best epoch

    next:
      ptune inspect runs/both/tasks/first
      ptune eval runs/both/tasks/first
    "#);
    // In front of the ids of six candidates.
    let vectors = |name: &str| -> Vec<u8> {
        let tensors = folder.tensors(&format!("runs/both/tasks/{name}/prompt.safetensors"));
        tensors[..tensors.len() - 6 * 4].to_vec()
    };
    // Two vectors of 24 numbers are shared: both begin with them.
    let (first, other) = (vectors("first"), vectors("other"));
    assert_eq!((first.len(), other.len()), (4 * 24 * 4, 2 * 24 * 4));
    assert_eq!(first[..other.len()], other[..], "what is shared is one");
    let from_run = folder.run("predict runs/both/tasks/first Britain --format json");
    assert_eq!(from_run.code, Some(0), "{from_run}");
    let file = "predict --prompt runs/both/tasks/first/prompt.safetensors Britain --format json";
    assert_eq!(folder.run(file).stdout, from_run.stdout);
    let judged = folder.run("eval runs/both/tasks/other --split test");
    assert!(judged.stdout.contains("P-tuned"), "{judged}");
    assert_eq!(folder.run("inspect runs/both/tasks/other").code, Some(0));
}

/// A run that was cut in two is the one that was not.
#[test]
fn a_run_goes_on_to_the_bit() {
    let folder = folder();
    let whole = folder.run(TRAIN);
    assert_eq!(whole.code, Some(0), "{whole}");
    let half = folder.run(&format!("{} --set train.epochs=2", TRAIN.replace("both", "half")));
    assert_eq!(half.code, Some(0), "{half}");
    let resumed = folder.run("resume runs/half --quiet --set train.epochs=4");
    assert_eq!((resumed.code, &resumed.stdout), (Some(0), &whole.stdout), "{resumed}");
    for name in ["first", "other"] {
        let prompt =
            |run: &str| folder.tensors(&format!("runs/{run}/tasks/{name}/prompt.safetensors"));
        assert_eq!(prompt("half"), prompt("both"), "{name}");
    }
    let again = folder.run("resume runs/both --quiet");
    assert_eq!((again.code, &again.stdout), (Some(0), &whole.stdout), "{again}");
}

#[test]
fn without_a_tie_nothing_is_shared() {
    let folder = folder();
    let first = folder.text("first.toml").replace("@shared", "");
    folder.write("first.toml", first);
    folder.write("other.toml", OTHER.replace("@shared", ""));
    let ran = folder.run(&TRAIN.replace(" --quiet", ""));
    assert!(ran.stderr.contains("6 virtual tokens, 0 of them shared"), "{ran}");
    let prompt = |name: &str| folder.tensors(&format!("runs/both/tasks/{name}/prompt.safetensors"));
    assert_ne!(prompt("first")[..2 * 24 * 4], prompt("other")[..2 * 24 * 4]);
}

#[test]
fn what_cannot_learn_together_is_told() {
    let _stable = stable();
    let folder = folder();
    let ran = folder.run(TRAIN);
    assert_eq!(ran.code, Some(0), "{ran}");
    folder.write("longer.toml", OTHER.replace("h:2@shared", "h:3@shared"));
    folder.write("lm.toml", OTHER.replace("[train]\n", "[train]\nstrategy = \"prompt-and-lm\"\n"));
    folder.write("prefix.toml", OTHER.replace("[h:2@shared]", "[prefix:2]"));
    folder.write("words.toml", OTHER.replace("[h:2@shared] ", ""));
    folder.copy_model("tiny_gpt2", "gpt2");
    folder.write("gpt2.toml", OTHER.replace("tiny_llama", "gpt2"));
    let second = |name: &str| format!("train --config first.toml --config {name}.toml --name new");
    let lines = [
        "train --config first.toml --config first.toml".to_owned(),
        "train --config first.toml --config missing.toml".to_owned(),
        second("gpt2"),
        second("longer"),
        second("lm"),
        second("prefix"),
        second("words"),
        TRAIN.replace(" --quiet", ""),
        "eval runs/both".to_owned(),
        "resume runs/both --set template.text=[x][z]".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_snapshot!(refused(&folder, "", &lines), @r#"
    $ train --config first.toml --config first.toml
    error: name: first.toml and first.toml both name their task "first"
    hint: tasks that learn together need names of their own

    $ train --config first.toml --config missing.toml
    error: missing.toml: cannot read the settings: No such file or directory (os error [n])

    $ train --config first.toml --config gpt2.toml --name new
    error: backbone: first.toml asks for tiny_llama on flex, gpt2.toml for gpt2 on flex
    hint: tasks that learn together share [backbone] and device

    $ train --config first.toml --config longer.toml --name new
    error: template.text: virtual tokens tied as '@shared' are shared by the tasks first and other, and must be equally many: 2 and 3
    hint: another name makes them other's own

    $ train --config first.toml --config lm.toml --name new
    error: other: tasks that learn together are trained with the strategy 'fixed-lm' on virtual tokens; this one has a strategy of another name
    hint: `ptune train` with its config alone

    $ train --config first.toml --config prefix.toml --name new
    error: other: tasks that learn together are trained with the strategy 'fixed-lm' on virtual tokens; this one has a [prefix:…], which cannot be shared in part
    hint: `ptune train` with its config alone

    $ train --config first.toml --config words.toml --name new
    error: template.text: the strategy 'fixed-lm' learns virtual tokens, but the template has none
    hint: add some, as in "[h:3] capital [x] [h:3] [z]"; `ptune eval --config` scores a template without training

    $ train --config first.toml --config other.toml --name both
    error: runs/both: a run of this name is there already; it is not overwritten
    hint: `ptune resume runs/both` goes on with it, --name NAME trains beside it, --force replaces it

    $ eval runs/both
    error: runs/both: this run trained several tasks together
    hint: each has a run of its own in runs/both/tasks

    $ resume runs/both --set template.text=[x][z]
    error: --set template.text=[x][z]: `template.text` of a run that is there cannot change
    hint: `ptune train` with another --name makes a run with it
    "#);
}
