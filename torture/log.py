"""What the processes of a checkout did, from the spy's log: when killed, what was lost."""

from dataclasses import dataclass
from typing import Any

from torture.checkout import Checkout

Event = dict[str, Any]


def events(checkout: Checkout) -> list[Event]:
    """The events so far but the engine's own epochs, which are part of training or measuring."""
    return [event for event in checkout.events() if event["doing"] != "epoch"]


def doing(events: list[Event], pids: set[int], at: float) -> str:
    """What killed processes were doing, in the word that is closest to the disk."""
    words = [_one(events, pid, at) for pid in pids]
    for word in ("saving", "measuring", "collecting", "training", "between", "loading"):
        if word in words:
            return word
    return "starting"


def _one(events: list[Event], pid: int, at: float) -> str:
    under_way: list[str] = []
    word = "starting"
    for event in events:
        if event["pid"] != pid or event["t"] > at:
            continue
        if event["begins"]:
            under_way.append(event["doing"])
        else:
            under_way.remove(event["doing"])
        # Nothing ends loading but what comes after it.
        doing = [one for one in under_way if one != "loading"]
        word = doing[-1] if doing else "loading" if event["doing"] == "loading" else "between"
    return word


@dataclass(frozen=True)
class Lost:
    """Epochs that were trained twice because of a kill.

    Attributes:
        epochs: how many, the one under way included.
        seconds: from the start of the first of them to the kill.
        waiting: seconds of those that no save under way was for: whole ones that waited for the
            interval to pass. It is this that the saving interval bounds.
    """

    epochs: int
    seconds: float
    waiting: float


def lost(events: list[Event], pids: set[int], at: float) -> Lost:
    """What a kill of some processes cost; of several the one that lost the most."""
    return max(
        (_lost(events, pid, at) for pid in pids),
        key=lambda one: one.seconds,
        default=Lost(0, 0.0, 0.0),
    )


def _lost(events: list[Event], pid: int, at: float) -> Lost:
    again = {
        e["key"] for e in events if e["doing"] == "training" and e["pid"] != pid and e["t"] > at
    }
    mine = [e for e in events if e["pid"] == pid and e["t"] <= at]
    begun = {e["key"]: e["t"] for e in mine if e["doing"] == "training" and e["begins"]}
    ended = {e["key"]: e["t"] for e in mine if e["doing"] == "training" and not e["begins"]}
    saves = {e["key"] for e in mine if e["doing"] == "saving" and e["begins"]}
    twice = {key: t for key, t in begun.items() if key in again}
    if not twice:
        return Lost(0, 0.0, 0.0)
    first = min(twice.values())
    waited = [ended[key] for key in twice if key in ended and key not in saves]
    return Lost(len(twice), at - first, max(waited, default=first) - first)
