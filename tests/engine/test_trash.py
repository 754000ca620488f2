"""What was removed goes from its place at once and from the disk a moment later."""

import asyncio
import shutil
from pathlib import Path

from compose_lite.engine.trash import Trash
from tests.engine.kernel import Clock


def test_discarded_folders_go_together_later(tmp_path: Path) -> None:
    emptied = []

    def empty() -> None:
        count = len(list((tmp_path / "trash").iterdir()))
        shutil.rmtree(tmp_path / "trash")
        emptied.append(count)  # in a thread: only now the next may be discarded

    async def run() -> None:
        trash = Trash(tmp_path / "trash", empty)
        for name in ("a", "b", "missing"):
            if name != "missing":
                (tmp_path / name).mkdir()
            trash.discard(tmp_path / name)
        assert not (tmp_path / "a").exists() and emptied == []
        await asyncio.sleep(2)
        while not emptied:
            await asyncio.sleep(0.01)
        assert emptied == [2]
        (tmp_path / "c").mkdir()
        trash.discard(tmp_path / "c")
        trash.close()
        assert emptied == [2, 1]
        await asyncio.sleep(2)
        assert emptied == [2, 1]

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(run())
