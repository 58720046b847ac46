"""The library as tools of an assistant, spoken to by the official client."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.commands import geoclip
from tests.helpers.served import ServedWork

mcp = pytest.importorskip("mcp", reason="the extra `mcp` is not installed")


async def told(call: tuple[str, dict[str, Any]], arguments: list[str]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the names of the tools and what one of them says, over stdio."""
    server = mcp.StdioServerParameters(command=sys.executable, args=["-m", "geoclip", "mcp", *arguments], env=None)
    async with mcp.Client(server) as client:
        tools = await client.list_tools()
        result = await client.call_tool(*call)
        return [tool.name for tool in tools.tools], [json.loads(part.text) for part in result.content]


@pytest.mark.slow
def test_an_assistant_is_told_what_the_command_line_says(work: ServedWork, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", work.vectors)
    own = geoclip("search", work.basel, tmp_path / "v.npy", "-k", "2", "--country", "CH", "-f", "jsonl").stdout
    call = ("search", {"vectors": str(tmp_path / "v.npy"), "options": {"k": 2, "country": ["CH"]}})
    tools, answers = asyncio.run(told(call, ["-i", str(work.basel), "--device", "cpu"]))
    assert tools == ["locate", "search"]
    assert len(answers) == 3
    for answer, line in zip(answers, own.splitlines(), strict=True):
        expected = json.loads(line)
        assert answer.pop("headline") == expected["verdict"]
        assert answer.pop("notes")
        del expected["cells"]
        assert answer == expected


def test_tools_in_this_process(work: ServedWork) -> None:
    from geoclip.locator import Locator
    from geoclip.serve.assistant import assistant

    server = assistant(Locator.open(work.basel, device="cpu"), workers=0)

    async def called(name: str, **arguments: Any) -> list[dict[str, Any]]:
        async with mcp.Client(server) as client:
            result = await client.call_tool(name, arguments)
            return [json.loads(part.text) for part in result.content]

    photos = [str(path) for path in work.photos[:2]]
    located = asyncio.run(called("locate", photos=photos, options={"k": 1}))
    assert [answer["query"] for answer in located] == photos
    assert all("cells" not in answer and len(answer["predictions"]) == 1 for answer in located)
    (joint,) = asyncio.run(called("locate", photos=photos, together=True))
    assert joint["query"].endswith("and 1 more")
    (words,) = asyncio.run(called("locate", text="a red bus"))
    assert words["query"] == "a red bus"
    (refused,) = asyncio.run(called("locate", photos=photos, options={"country": ["Atlantis"]}))
    assert "Atlantis" in refused["error"]
    (refused,) = asyncio.run(called("search", vectors="/nowhere.npy"))
    assert "does not exist" in refused["error"]
