//! What is wrong with a suite is told with its place, before anything is run.

mod common;

use common::suite::{folder, suite};
use common::{refused, stable};
use insta::assert_snapshot;

#[test]
fn mistakes_in_a_suite_are_told_with_their_places() {
    let _stable = stable();
    let folder = folder();
    for (name, from, to) in [
        ("key", "seeds", "seed"),
        ("word", "{middle}", "{midle}"),
        ("setting", "train.epochs = 1", "train.epoch = 1"),
        ("range", "train.epochs = 1", "train.epochs = 0"),
        ("axis", "[[encoders]]\nname = \"mlp\"", "[[encoders]]\nname = \"direct\""),
        ("base", "config.toml", "confg.toml"),
        ("entry", "discrete = \"[x]", "discret = \"[x]"),
        ("template", "[h:2] {middle}", "[h:2 {middle}"),
        ("empty", "seeds = [0, 1]", "seeds = []"),
    ] {
        folder.write(&format!("{name}.toml"), suite().replacen(from, to, 1));
    }
    let lines = [
        "key.toml",
        "word.toml",
        "setting.toml",
        "range.toml",
        "axis.toml",
        "base.toml",
        "entry.toml",
        "template.toml",
        "empty.toml",
        "suite.toml --shard 3/2",
        "suite.toml --fail-under p2=1",
        "suite.toml --set train.lr=no",
        "nowhere.toml",
    ];
    assert_snapshot!(refused(&folder, "suite", &lines), @r#"
    $ key.toml
    error: key.toml:4:1: unknown key `seed`
    hint: did you mean `seeds`?

    $ word.toml
    error: 2 problems in the settings
    word.toml:19:8: `templates.text`: expected names that the task `capitals` has words for, found {midle}
      hint: did you mean `{middle}`?
    word.toml:19:8: `templates.text`: expected names that the task `other` has words for, found {midle}
      hint: did you mean `{middle}`?

    $ setting.toml
    error: setting.toml:14:46: unknown key `train.epoch`
    hint: did you mean `train.epochs`?

    $ range.toml
    error: range.toml:14:55: `train.epochs`: expected a whole number, at least 1, found 0

    $ axis.toml
    error: axis.toml:26:8: `encoders.name`: expected a name that no other of these tables has, found the text "direct"

    $ base.toml
    error: base.toml:2:8: `base`: no file or folder `confg.toml`; looked for
        [places]
    hint: did you mean [folder]/config.toml?

    $ entry.toml
    error: entry.toml:15:1: unknown key `tasks.discret`
    hint: did you mean `tasks.discrete`?

    $ template.toml
    error: 2 problems in the settings
    template.toml:19:8: `template.text`: template, column 4: expected a number of virtual tokens from 1 to 1024, found '2 capital of '
      | [h:2 capital of [x] [h:2] [z]
      |    ^
    template.toml:19:8: `template.text`: template, column 4: expected a number of virtual tokens from 1 to 1024, found '2 '
      | [h:2 [x] is of [h:2] [z]
      |    ^

    $ empty.toml
    error: empty.toml:4:9: `seeds`: expected a list of different whole numbers, each at least 0, found the list []

    $ suite.toml --shard 3/2
    error: --shard 3/2: expected I/N with I from 1 to N
    hint: --shard 1/2 on one machine and --shard 2/2 on another

    $ suite.toml --fail-under p2=1
    error: --fail-under p2=1: expected p1, mrr or f1 = a number from 0 to 1
    hint: --fail-under p1=0.4

    $ suite.toml --set train.lr=no
    error: --set train.lr=no: `train.lr`: expected a number above 0, found the text "no"

    $ nowhere.toml
    error: nowhere.toml: cannot read the settings: No such file or directory (os error [n])
    "#);
}
