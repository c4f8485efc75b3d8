"""What setup.cfg says."""

from __future__ import annotations

import configparser
import re

from tests.kit.page import ROOT


def setup_cfg() -> configparser.ConfigParser:
    """Its sections."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def requirements(extra: str = "") -> set[str]:
    """The names of the packages that an extra asks for; without one, all that the relay and its extras ask for."""
    parser = setup_cfg()
    extras = parser["options.extras_require"]
    lines = [extras[extra]] if extra else [parser["options"]["install_requires"], *extras.values()]
    return set(re.findall(r"^([\w-]+)", "\n".join(lines), re.MULTILINE))
