"""`relay serve` has the relay's own options, and twistd's choices are made."""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO

from twisted.application.service import IServiceMaker, ServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.options import Options
from relay.daemon.serve import RELAY, ServeOptions


class ServeOptionsTests(SynchronousTestCase):
    def parse(self, *arguments: str) -> ServeOptions:
        options = ServeOptions()
        options.parseOptions(list(arguments))
        return options

    def test_it_stays_in_the_foreground_without_a_pid_file(self) -> None:
        options = self.parse()
        self.assertTrue(options["nodaemon"])
        self.assertEqual(options["pidfile"], "")

    def test_arguments_are_options_of_the_relay(self) -> None:
        chosen = self.parse("--replay", "7").subOptions
        assert isinstance(chosen, Options)
        self.assertEqual(chosen.config().replay, 7)

    def test_the_command_runs_what_the_plugin_of_twistd_runs(self) -> None:
        options = self.parse()
        assert options.subCommand is not None
        self.assertIs(options.loadedPlugins[options.subCommand], RELAY)
        [plugin] = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "relay"]
        assert isinstance(plugin, ServiceMaker)
        self.assertEqual((RELAY.name, RELAY.module, RELAY.tapname), (plugin.name, plugin.module, plugin.tapname))

    def test_the_usage_says_relay_serve(self) -> None:
        usage = str(self.parse().subOptions)
        self.assertTrue(usage.startswith("Usage: relay serve [options]\n"), usage)

    def test_an_option_of_twistd_is_none_of_the_relay(self) -> None:
        said = StringIO()
        with redirect_stderr(said):
            self.assertEqual(self.assertRaises(SystemExit, self.parse, "--pidfile=relay.pid").code, 1)
        self.assertTrue(said.getvalue().startswith("relay: option --pidfile not recognized"), said.getvalue())
