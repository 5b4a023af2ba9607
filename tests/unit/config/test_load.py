"""Where settings come from, what they may be, and how a wrong one is said."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from daemon.config.default_file import render_default_file
from daemon.config.load import HOOK_VARIABLES, SEARCH_PATH, changed, find_file, load
from daemon.config.schema import ENV_PREFIX, Config
from daemon.config.score import RefineConfig
from daemon.config.selection import SelectConfig
from daemon.errors import ConfigError, Kind

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, no settings in the environment, /etc in the scratch folder."""
    for name in list(os.environ):
        if name.upper().startswith(ENV_PREFIX):
            monkeypatch.delenv(name)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("daemon.config.load.SEARCH_PATH", (Path("config.yaml"), tmp_path / "etc" / "config.yaml"))
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def complaint(text: str, here: Path) -> str:
    """The one line that a file with this text is refused with."""
    write(here / "config.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load()
    assert caught.value.kind is Kind.CONFIG
    return one_line(str(caught.value))


def one_line(text: str) -> str:
    assert "\n" not in text
    return text


# Defaults


def test_without_a_file_every_key_has_its_documented_default(here: Path) -> None:
    found = load()
    assert found.watch.path == here / "inbox"
    assert found.output.path == here / "stills"
    assert found.database.path == here / "stillwatch.db"
    assert (found.watch.recursive, found.watch.mode) == (True, "auto")
    assert (found.watch.settle_seconds, found.watch.rescan_seconds) == (5.0, 60.0)
    assert found.output.format == "auto"
    assert found.decode.queue_bytes == 256 * 1024**2
    assert (found.score.metric, found.score.device, found.score.precision) == ("niqe", "auto", "auto")
    assert (found.score.max_batch, found.score.weights) == (16, None)
    assert (found.select.count, found.select.min_gap_seconds) == (10, 1.0)
    assert (found.export.ffmpeg, found.export.select_batch, found.export.hwaccel) == ("", 50, "none")
    assert found.decode.hwaccel == "none"
    assert found.export.disk_margin_bytes == 512 * 1024**2
    assert (found.log.format, found.log.level) == ("auto", "info")


def test_the_sections_are_the_documented_ones() -> None:
    sections = [
        "watch",
        "output",
        "database",
        "decode",
        "score",
        "shots",
        "gates",
        "select",
        "export",
        "log",
        "service",
    ]
    sections += ["notify", "cluster"]
    assert list(Config.model_fields) == sections


def test_a_configuration_cannot_be_changed_after_loading() -> None:
    found = load()
    with pytest.raises(ValidationError):
        found.select.count = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        found.select = SelectConfig(count=3)  # type: ignore[misc]


def test_what_people_drop_while_it_is_being_written_is_excluded_by_default() -> None:
    excluded = load().watch.exclude
    assert {".*", "*.part", "*.crdownload", "*.tmp", "@eaDir", "lost+found"} <= set(excluded)


# Words of YAML


@pytest.mark.parametrize("word", ["off", "'off'"])
def test_off_is_a_word_where_a_setting_has_it(here: Path, word: str) -> None:
    write(here / "config.yaml", f"select: {{faces: {word}}}\ndecode: {{deinterlace: {word}}}\n")
    config = load()
    assert (config.select.faces, config.decode.deinterlace) == ("off", "off")


@pytest.mark.parametrize(
    ("word", "meant"), [("true", True), ("True", True), ("yes", True), ("on", True), ("false", False), ("off", False)]
)
def test_where_a_setting_is_true_or_false_every_word_for_it_is_understood(here: Path, word: str, meant: bool) -> None:
    write(here / "config.yaml", f"watch: {{recursive: {word}}}\n")
    assert load().watch.recursive is meant


# The shipped file


def test_the_shipped_file_is_the_one_that_the_models_render() -> None:
    assert (ROOT / "config.yaml").read_text(encoding="utf-8") == render_default_file()


def test_the_shipped_file_loads_to_the_defaults(here: Path) -> None:
    (here / "config.yaml").write_bytes((ROOT / "config.yaml").read_bytes())
    from_file = load()
    (here / "config.yaml").unlink()
    assert from_file == load()


def test_the_shipped_file_shows_every_key_once_with_a_description() -> None:
    text = render_default_file()
    shown = yaml.safe_load(text)
    for section, field in Config.model_fields.items():
        model: Any = field.annotation
        assert set(shown[section]) == set(model.model_fields)
        for key, info in model.model_fields.items():
            assert info.description, f"{section}.{key} has no description"
            assert text.count(f"\n  {key}: ") >= 1
            assert f"  # {info.description}\n  {key}: " in text


# Where the file is looked for


def test_a_named_file_wins_over_all_others(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = write(tmp_path / "named.yaml", "select: {count: 1}")
    monkeypatch.setenv("STILLWATCH_CONFIG", str(write(tmp_path / "env.yaml", "select: {count: 2}")))
    write(here / "config.yaml", "select: {count: 3}")
    write(tmp_path / "etc" / "config.yaml", "select: {count: 4}")
    assert load(named).select.count == 1
    assert load().select.count == 2
    monkeypatch.delenv("STILLWATCH_CONFIG")
    assert load().select.count == 3
    (here / "config.yaml").unlink()
    assert load().select.count == 4
    (tmp_path / "etc" / "config.yaml").unlink()
    assert load().select.count == 10


def test_the_places_that_are_searched_are_the_working_folder_and_etc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert list(SEARCH_PATH) == [Path("config.yaml"), Path("/etc/stillwatch/config.yaml")]


def test_an_empty_environment_variable_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLWATCH_CONFIG", "")
    assert find_file(None) is None


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_named_file_that_is_not_there_stops_the_start(
    by_environment: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone.yaml"
    if by_environment:
        monkeypatch.setenv("STILLWATCH_CONFIG", str(gone))
    with pytest.raises(ConfigError, match=re.escape(str(gone))) as caught:
        load(None if by_environment else gone)
    assert "does not exist" in one_line(str(caught.value))


# Paths


def test_relative_paths_in_a_file_start_at_the_files_own_folder(tmp_path: Path) -> None:
    file = write(
        tmp_path / "elsewhere" / "c.yaml",
        "watch: {path: in}\noutput: {path: ../out}\ndatabase: {path: db/s.db}\nscore: {weights: w.pth}\n",
    )
    found = load(file)
    assert found.watch.path == tmp_path / "elsewhere" / "in"
    assert found.output.path == tmp_path / "out"
    assert found.database.path == tmp_path / "elsewhere" / "db" / "s.db"
    assert found.score.weights == tmp_path / "elsewhere" / "w.pth"


def test_relative_paths_in_a_file_named_by_a_relative_path_start_at_its_folder(here: Path) -> None:
    write(here / "sub" / "c.yaml", "watch: {path: in}")
    assert load(Path("sub/c.yaml")).watch.path == here / "sub" / "in"


def test_relative_paths_from_the_environment_start_at_the_working_folder(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "elsewhere" / "c.yaml", "watch: {path: in}\n")
    monkeypatch.setenv("STILLWATCH_WATCH__PATH", "drop")
    monkeypatch.setenv("STILLWATCH_SCORE__WEIGHTS", "w.pth")
    found = load(file)
    assert found.watch.path == here / "drop"
    assert found.score.weights == here / "w.pth"


def test_absolute_paths_stay_and_the_home_folder_is_known(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STILLWATCH_OUTPUT__PATH", "~/stills")
    write(here / "config.yaml", "watch: {path: ~/in}\ndatabase: {path: /var/lib/s.db}")
    found = load()
    assert found.watch.path == tmp_path / "home" / "in"
    assert found.output.path == tmp_path / "home" / "stills"
    assert found.database.path == Path("/var/lib/s.db")


# The environment


def test_the_environment_wins_over_the_file_key_by_key(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "config.yaml", "select: {count: 3, min_gap_seconds: 7.5}")
    monkeypatch.setenv("STILLWATCH_SELECT__COUNT", "20")
    assert load().select == SelectConfig(count=20, min_gap_seconds=7.5)


def test_a_list_comes_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLWATCH_WATCH__EXTENSIONS", '["mp4", "mkv"]')
    assert load().watch.extensions == ["mp4", "mkv"]


@pytest.mark.parametrize("name", ["STILLWATCH_SELECT__CUONT", "STILLWATCH_SELCET__COUNT", "STILLWATCH_LOG__"])
def test_an_unknown_setting_in_the_environment_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "20")
    with pytest.raises(ConfigError, match=name) as caught:
        load()
    one_line(str(caught.value))


def test_other_programs_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_SELECT__COUNT", "many")
    assert load().select.count == 10


def test_a_wrong_value_in_the_environment_names_key_value_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLWATCH_SELECT__COUNT", "0")
    with pytest.raises(ConfigError) as caught:
        load()
    text = one_line(str(caught.value))
    assert "select.count" in text
    assert "'0'" in text
    assert "greater than or equal to 1" in text


@pytest.mark.parametrize("name", ["STILLWATCH_WATCH__EXTENSIONS", "STILLWATCH_WATCH"])
def test_a_list_or_section_in_the_environment_that_is_no_json_stops_with_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "mp4")
    with pytest.raises(ConfigError, match="watch") as caught:
        load()
    one_line(str(caught.value))


def test_a_wrong_value_from_the_environment_is_not_blamed_on_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here / "config.yaml", "select: {count: 3}")
    monkeypatch.setenv("STILLWATCH_SELECT__COUNT", "0")
    with pytest.raises(ConfigError) as caught:
        load()
    assert "config.yaml" not in str(caught.value)


# Wrong files


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("selct: {count: 3}", ["selct", "not a known key", "select"]),
        ("select: {cuont: 3}", ["select.cuont", "not a known key", "count", "min_gap_seconds"]),
        ("select: {count: many}", ["select.count", "'many'", "integer"]),
        ("select: {count: 2.5}", ["select.count", "2.5", "integer"]),
        ("select: {count: 0}", ["select.count", " 0", "greater than or equal to 1"]),
        ("select: {count: 100001}", ["select.count", "100001", "less than or equal to 100000"]),
        ("select: {count: null}", ["select.count", "None", "integer"]),
        ("select: {min_gap_seconds: .nan}", ["select.min_gap_seconds", "nan"]),
        ("select: {min_gap_seconds: -1}", ["select.min_gap_seconds", "-1", "greater than or equal to 0"]),
        ("watch: {rescan_seconds: 0}", ["watch.rescan_seconds", "0.1"]),
        ("watch: {mode: inotify}", ["watch.mode", "'inotify'", "'native'", "'polling'"]),
        ("watch: {extensions: mp4}", ["watch.extensions", "'mp4'", "list"]),
        ("watch: {extensions: [264]}", ["watch.extensions", "264", "string"]),
        ("watch: {path: 3}", ["watch.path", "3", "path"]),
        ("watch: 3", ["watch", "3", "dictionary"]),
        ("decode: {queue_bytes: 1}", ["decode.queue_bytes", "1048576"]),
        ("score: {device: gpu}", ["score.device", "'gpu'", "cuda"]),
        ("export: {hwaccel: 'cuda -y'}", ["export.hwaccel", "'cuda -y'", "a-z0-9_"]),
        ("export: {select_batch: 40000}", ["export.select_batch", "30000"]),
        ("database: {commit_seconds: 0}", ["database.commit_seconds", "greater than 0"]),
        ('log: {level: "in\\nfo"}', ["log.level", "'info'", "'debug'"]),
        ("{1: 2}", ["1", "not a known key"]),
    ],
)
def test_a_wrong_key_or_value_is_said_in_one_line_with_what_is_allowed(text: str, parts: list[str], here: Path) -> None:
    said = complaint(text, here)
    for part in ["config.yaml", *parts]:
        assert part in said


def test_one_of_several_mistakes_is_named_and_the_rest_counted(here: Path) -> None:
    said = complaint("select: {count: 0, min_gap_seconds: -1}\nlog: {level: loud}", here)
    assert "select.count" in said
    assert "(2 more)" in said


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: [", 1, "expected the node content, but found '<stream end>'"),
        ("\t", 1, "found character '\\t' that cannot start any token"),
        ("watch:\n  path: in\n  mode polling\n", 4, "could not find expected ':'"),
        ("a: b: c", 1, "mapping values are not allowed here"),
        (
            "watch: {\n\n  path: in}\n}\n",
            4,
            "while parsing a block mapping (line 1), expected <block end>, but found '}'",
        ),
        ("watch:\n  path: 'in\n  mode: polling\n", 4, "while scanning a quoted scalar (line 2), found unexpected end"),
        ("a: 1\nb: *c", 2, "found undefined alias 'c'"),
        ("x: !!python/object:os.system {}", 1, "could not determine a constructor"),
        ("# a bell\nwatch: {path: \a}", 2, r"'\x07': special characters are not allowed"),
    ],
)
def test_a_file_that_is_not_yaml_is_said_in_one_line_with_file_line_and_reason(
    text: str, line: int, problem: str, here: Path
) -> None:
    said = complaint(text, here)
    assert said.startswith(f"config.yaml, line {line}: not valid YAML: ")
    assert problem in said
    assert "<unicode string>" not in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("watch: {path: 2024-99-99}", "month must be in 1..12"),
        ("watch: " + "[" * 5000, "nested too deeply"),
        ("watch: {path: !!timestamp x}", "AttributeError"),
        ("watch: {path: !!bool x}", "KeyError"),
    ],
)
def test_a_file_that_cannot_be_understood_is_said_in_one_line_too(text: str, problem: str, here: Path) -> None:
    assert complaint(text, here).startswith(f"config.yaml: not valid YAML: {problem}")


@pytest.mark.parametrize(("text", "kind"), [("[1, 2]", "list"), ("hello", "str"), ("3", "int")])
def test_a_file_without_sections_is_said_in_one_line(text: str, kind: str, here: Path) -> None:
    said = complaint(text, here)
    assert f"not a {kind}" in said
    assert "watch:" in said


def test_a_file_that_is_not_text_is_said_in_one_line(here: Path) -> None:
    (here / "config.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load()
    one_line(str(caught.value))


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "select:\n", "select: {}\n"])
def test_an_empty_file_or_section_is_the_defaults(text: str, here: Path) -> None:
    write(here / "config.yaml", text)
    assert load().select == SelectConfig()


def test_an_infinite_gap_is_refused(here: Path) -> None:
    assert "inf" in complaint("select: {min_gap_seconds: .inf}", here)


def test_the_device_may_name_one_gpu(here: Path) -> None:
    write(here / "config.yaml", "score: {device: 'cuda:3'}")
    assert load().score.device == "cuda:3"


def test_a_count_is_a_number_or_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SelectConfig(count="auto").limit is None  # type: ignore[arg-type]
    assert SelectConfig(count=7).limit == 7
    monkeypatch.setenv("STILLWATCH_SELECT__COUNT", "auto")
    assert load().select.limit is None


def test_a_second_metric_comes_from_the_file_or_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "config.yaml").write_text("score: {refine: {metric: piqe, share: 0.1}}")
    assert load().score.refine == RefineConfig(metric="piqe", share=0.1)
    monkeypatch.setenv("STILLWATCH_SCORE__REFINE__METRIC", "topiq_nr")
    assert load().score.refine == RefineConfig(metric="topiq_nr", share=0.1)


def test_changes_from_the_command_line_are_checked_like_the_file() -> None:
    found = changed(Config(), "select", {"count": "12", "strategy": "best"})
    assert (found.select.limit, found.select.strategy) == (12, "best")
    for changes, said in (({"count": "none"}, "select.count = 'none'"), ({"strategy": "x"}, "select.strategy = 'x'")):
        with pytest.raises(ConfigError, match=said):
            changed(Config(), "select", changes)


# Hooks


@pytest.mark.parametrize(
    "url", ["ftp://example.org/x", "example.org/T0K3N", "https://me:T0K3N@example.org/", "https://", "file:///T0K3N"]
)
def test_an_address_that_hooks_cannot_use_is_refused_without_repeating_it(url: str, here: Path) -> None:
    (here / "config.yaml").write_text(f"notify: {{url: '{url}'}}")
    with pytest.raises(ConfigError, match=r"notify\.url = \(not shown\): .*http://") as caught:
        load()
    assert "T0K3N" not in str(caught.value)


def test_an_address_is_kept_secret_when_the_configuration_is_shown(here: Path) -> None:
    (here / "config.yaml").write_text("notify: {url: 'https://hooks.example/T0K3N', when: [done]}")
    assert load().notify.url.get_secret_value() == "https://hooks.example/T0K3N"
    assert "T0K3N" not in repr(load())


def test_the_variables_of_a_hook_do_not_stop_stillwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in HOOK_VARIABLES:
        monkeypatch.setenv(name, "done")
    assert load().notify.command == []
