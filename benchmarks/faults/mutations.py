"""Bytes, JSON and safetensors changed at random, as damage or a hostile hand would."""

import json
import random
from typing import Any

import numpy as np

ODD = [b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00\x80\x7f", b"\x00\x7e", b"\xff" * 8, b"\x00" * 8, b"9" * 12, b"-1"]
"""Bytes that mean something: ends of text, NaN, infinity, sizes out of range."""
ODD_VALUES: list[Any] = [
    *(None, True, "", "x", [], {}, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 1e308, -1e308, 1e-320, 0.5),
    *("../../outside", "/etc/hostname", "a\nb", "[/red]", "\x00", "NaN", [[]], [{}], {"": None}, [1e999]),
]


def changed(rng: random.Random, content: bytes) -> bytes:
    """Overwrite, insert, remove or repeat some bytes in up to three places; most changes near the beginning."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = min(int(rng.expovariate(1 / 200)) if rng.random() < 0.5 else rng.randrange(len(data) + 1), len(data))
        odd = rng.choice([*ODD, rng.randbytes(4)])
        match rng.randrange(4):
            case 0:
                data[at : at + len(odd)] = odd
            case 1:
                data[at:at] = odd
            case 2:
                del data[at : at + rng.randint(1, 8)]
            case _:
                data[at:at] = data[at : at + 64]
    return bytes(data)


def flipped(rng: random.Random, content: bytes) -> tuple[bytes, int]:
    """Change one bit; return the content and where it was changed."""
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :], at


def changed_json(rng: random.Random, content: bytes) -> bytes:
    """Put an odd value in the place of a random part of a JSON text, remove one, or add one; the text stays JSON."""
    whole = [json.loads(content)]
    parts = list(_parts(whole))
    for _ in range(rng.randint(1, 2)):
        holder, key = rng.choice(parts)
        try:
            match rng.randrange(4):
                case 0:
                    del holder[key]
                case 1 if isinstance(holder, dict):
                    holder[rng.choice(["x", "", "__class__", "../y"])] = rng.choice(ODD_VALUES)
                case _:
                    holder[key] = rng.choice(ODD_VALUES)
        except (KeyError, IndexError):  # an earlier change took it away
            continue
    return json.dumps(whole[0] if whole else None).encode()


def changed_safetensors(rng: random.Random, content: bytes) -> bytes:
    """Change the header as JSON, or numbers to others of odd values, or any bytes."""
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], bytearray(content[8 + size :])
    match rng.randrange(3):
        case 0:
            header = changed_json(rng, header)
        case 1 if len(data) > 4:
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(data) // 4) * 4
                data[at : at + 4] = np.float32(rng.choice([np.nan, np.inf, -np.inf, 1e38, -1, 0])).tobytes()
        case _:
            return changed(rng, content)
    return len(header).to_bytes(8, "little") + header + bytes(data)


def _parts(holder: Any) -> "list[tuple[Any, Any]]":
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    found = [(holder, key) for key in keys]
    for key in keys:
        if isinstance(holder[key], dict | list):
            found += _parts(holder[key])
    return found
