"""`pockettts mcp`, tested with the client of the official MCP SDK."""

import asyncio
import json
import sys

import pytest

pytest.importorskip("mcp")

from mcp import ClientSession, StdioServerParameters, stdio_client  # noqa: E402

from pockettts.sound.files import read  # noqa: E402


def talk(tmp_path, *calls):
    """The results of tool calls, given as (name, arguments), and the names of the tools."""

    async def talking():
        command = StdioServerParameters(
            command=sys.executable,
            args=["-m", "pockettts", "mcp", "--variant", "mini", "--quiet"],
            env={"PATH": "", "HOME": str(tmp_path)},
        )
        async with stdio_client(command) as streams, ClientSession(*streams) as session:
            await session.initialize()
            tools = [tool.name for tool in (await session.list_tools()).tools]
            return tools, [await session.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(talking())


def text_of(result):
    return " ".join(part.text for part in result.content)


def test_an_assistant_can_speak(tmp_path):
    path = tmp_path / "hello.wav"
    tools, (voices, spoken, relative, unknown, silent) = talk(
        tmp_path,
        ("list_voices", {}),
        ("speak", {"text": "Hello, world!", "voice": "michael", "output": str(path)}),
        ("speak", {"text": "Hello.", "output": "hello.wav"}),
        ("speak", {"text": "Hello.", "voice": "nobody", "output": str(path)}),
        ("speak", {"text": "Hello."}),  # there is no player on this PATH
    )
    assert tools == ["speak", "list_voices"]
    assert "heart" in text_of(voices) and "michael" in json.dumps(text_of(voices))
    samples, _ = read(path, 24000)
    assert 0.5 < len(samples) / 24000 < 4 and f"wrote {path}" in text_of(spoken)
    for result, words in (
        (relative, "not an absolute path"),
        (unknown, "no voice called 'nobody'"),
        (silent, "no audio player"),
    ):
        assert result.is_error and words in text_of(result)
