"""One setting: its names, and how texts become its value."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from relay.config.setting import Setting
from relay.config.values import count, network


class SettingTests(SynchronousTestCase):
    def test_its_field_is_its_name_as_python_has_names(self) -> None:
        self.assertEqual(Setting("max-per-address", "0", count, "").field, "max_per_address")

    def test_the_last_text_counts_where_there_is_one_value(self) -> None:
        self.assertEqual(Setting("replay", "0", count, "").value(["1", "2"]), 2)

    def test_many_values_are_given_one_by_one_and_none_is_none(self) -> None:
        setting = Setting("publish", "none", str, "", many=True)
        self.assertEqual(setting.value(["tcp:1,2", "none", "tcp:3"]), ("tcp:1,2", "tcp:3"))
        self.assertEqual(setting.value(["none"]), ())

    def test_networks_may_have_commas_between(self) -> None:
        setting = Setting("allow-publishers", "none", network, "", many=True)
        self.assertEqual(
            setting.value(["192.0.2.0/24, ::1", "192.0.2.1"]),
            (ip_network("192.0.2.0/24"), ip_network("::1"), ip_network("192.0.2.1")),
        )

    def test_a_text_that_is_not_understood_is_refused(self) -> None:
        self.assertRaises(ValueError, Setting("replay", "0", count, "").value, ["many"])
