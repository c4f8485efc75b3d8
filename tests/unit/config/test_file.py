"""The configuration file: every setting has its place there, and a name that has none is told where it belongs."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Faults
from relay.config.file import read_file, texts
from relay.config.setting import Given
from relay.config.settings import SETTINGS
from tests.kit.folders import temporary_folder


class FileTests(SynchronousTestCase):
    def read(self, text: str) -> dict[str, Given]:
        self.file = str(temporary_folder(self) / "relay.toml")
        Path(self.file).write_text(text)
        found, faults = read_file(self.file)
        if faults:
            raise Faults(faults)
        return found

    def test_settings_are_found_in_their_tables(self) -> None:
        found = self.read('replay = 7\npublish = ["tcp:1", "tcp:2"]\n[limits]\nframe-timeout = 1.5\n')
        self.assertEqual(
            found,
            {
                "replay": Given(f"{self.file}: replay", ["7"]),
                "publish": Given(f"{self.file}: publish", ["tcp:1", "tcp:2"]),
                "frame-timeout": Given(f"{self.file}: limits.frame-timeout", ["1.5"]),
            },
        )

    def test_everything_that_is_wrong_is_told_at_once(self) -> None:
        error = self.assertRaises(Faults, self.read, "slwo = 1\nkeepalive = 1\nreplay = true\n[tls]\nslow = 'skip'\n")
        self.assertEqual(
            [line.removeprefix(f"{self.file}: ") for line in error.lines],
            [
                "slwo: there is no such setting",
                "keepalive: this belongs in the table [limits]",
                "replay: True is not a whole number",
                "tls.slow: this belongs at the top, before all tables",
            ],
        )

    def test_what_is_no_file_or_no_toml_is_told_in_one_line(self) -> None:
        error = self.assertRaises(Faults, read_file, "/nonexistent/relay.toml")
        self.assertEqual(str(error), "/nonexistent/relay.toml: No such file or directory")
        self.assertEqual(len(self.assertRaises(Faults, self.read, "replay = \n").lines), 1)

    def test_a_mark_at_the_beginning_is_no_text_and_another_encoding_is_named(self) -> None:
        file = temporary_folder(self) / "relay.toml"
        file.write_text("replay = 7\n", encoding="utf-8-sig")
        self.assertEqual(read_file(str(file))[0]["replay"].texts, ["7"])
        for encoding, found in (("utf-16", "it seems to be UTF-16"), ("latin-1", "byte 3 is none")):
            file.write_text("# \u00e4\n", encoding=encoding)
            error = self.assertRaises(Faults, read_file, str(file))
            self.assertEqual(
                str(error), f"{file}: a configuration file is UTF-8, and {found}: save it in that encoding"
            )

    def test_a_relative_path_is_shown_as_an_absolute_one(self) -> None:
        error = self.assertRaises(Faults, read_file, "no-such.toml")
        self.assertEqual(str(error), f"{Path.cwd()}/no-such.toml: No such file or directory")

    def test_a_default_in_the_file_means_what_it_does_on_the_command_line(self) -> None:
        for setting in SETTINGS:
            value = setting.value([setting.default])
            if isinstance(value, int | float):
                self.assertEqual(setting.value(texts(setting, value)), value, setting.name)
