"""What the relay's numbers are at one moment, made up."""

from __future__ import annotations

from relay.core.backbone import BackboneFigures
from relay.core.cursor import Lag, Tally
from relay.core.journal import JournalFigures
from relay.observe.stats import ReachFigures, Role, Snapshot, WorkerFigures
from relay.wire.close_reason import CloseReason

ENDS = dict.fromkeys(CloseReason, 0) | {CloseReason.OVERRUN: 4}
NOW = Snapshot(
    roles=(
        Role("publisher", "tcp", 2, 3, dict.fromkeys(CloseReason, 0), 0, 1),
        Role("subscriber", "tcp", 5, 9, ENDS, 7, 0),
    ),
    most_connections=100,
    published=Tally(10, 1000, 0),
    delivered=Tally(40, 4000, 6),
    held=1512,
    needed=1024,
    buffer=2**20,
    oldest=3,
    next=11,
    live=2,
    lagging=3,
    lags=(0.02, 7.0, 4000.0),
    furthest=Lag(8, 800, 4000.0),
    discarded=13,
    incomplete=8,
    blocked=True,
    blocked_by=("subscribers",),
    blocked_seconds=1.5,
    reloaded=2,
    reloads_failed=1,
    left_out=12,
    sessions={("publisher", "tcp"): 1, ("subscriber", "tcp"): 2, ("subscriber", "ws"): 3},
    resumed={"complete": 4, "incomplete": 5, "unknown": 6},
    lost=7,
    acks=8,
    names=9,
    turns=(5, 0, 2, 0, 1, 0, 0, 1),
    turn_seconds=1.75,
    started=1_000_000_000.0,
    journal=JournalFigures(
        size=4096,
        limit=8192,
        free=65536,
        segments=3,
        oldest=2,
        oldest_time=999_999_999.5,
        unsynced=128,
        bounds=(0.001, 0.01),
        syncs=(4, 2, 1),
        sync_seconds=0.25,
        reads=6,
        readers=2,
        cuts=1,
        trouble="",
        held_seconds=3.5,
    ),
    reach=(
        ReachFigures("pull", "session:tcp:far.example:8002", True, 3, Tally(20, 2000, 0), 5, 7),
        ReachFigures("mirror", "session:tcp:far.example:8003", False, 1, Tally(0, 0, 0), 0, 0, (2, 0.5)),
    ),
    backbone=BackboneFigures(
        proposed=20,
        again=3,
        folded=50,
        ignored={"repeated": 1, "early": 2, "foreign": 3, "stale": 4},
        window=5,
        window_bytes=512,
        waiting=256,
        bounds=(0.001, 0.01),
        trips=(7, 2, 1),
        trip_seconds=0.5,
        behind=11,
        names=12,
        sequence=60,
        snapshot=55,
        trouble="",
        held=True,
        held_seconds=4.5,
    ),
    workers=(
        WorkerFigures(1, True, 4, 2.5, 40_000_000, Tally(30, 3000, 0)),
        WorkerFigures(2, False, 0, 0.0, 0, Tally(0, 0, 0)),
    ),
    replaced=6,
    workers_held=True,
    workers_held_seconds=2.25,
)
