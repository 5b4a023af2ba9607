"""Films under whose work the process has ended too often, with others beside them: each is tried alone."""

from __future__ import annotations

from daemon.errors import Kind, VideoError
from daemon.model import Status
from daemon.store.store import Store
from tests.integration.store.test_store import config, identity, store

__all__ = ["config", "store"]


async def killed_with(store: Store, *ids: int, times: int = 3) -> tuple[int, int]:
    """What the next start says after so many kills, each while all of these were scored."""
    said = (0, 0)
    for _ in range(times):
        for video_id in ids:
            assert await store.queue.claim(Status.QUEUED, Status.SCORING, [video_id])
        said = await store.queue.recover(3)
    return said


async def claimed(store: Store, waiting: Status = Status.QUEUED, working: Status = Status.SCORING) -> int | None:
    record = await store.queue.claim(waiting, working)
    return None if record is None else record.id


async def test_of_several_that_were_worked_on_none_is_set_aside_before_it_was_tried_alone(store: Store) -> None:
    ids = [await store.queue.enqueue(identity(f"{n}.mp4")) for n in range(2)]
    assert await killed_with(store, *ids) == (2, 0)
    for video_id in ids:
        record = await store.videos.get(video_id)
        assert (record.status, record.error_kind, record.attempts) == (Status.QUEUED, "attempts", 3)
        assert "3 times while this file and others were worked on: it is tried alone" in str(record.error)
    first, second = ids
    assert await claimed(store) == first
    assert await claimed(store) is None, "the other would not be alone"
    await store.queue.set_status(first, Status.DONE)
    assert await claimed(store) == second
    assert await store.queue.recover(3) == (0, 1), "alone it has ended the process once more"
    assert [(await store.videos.get(one)).status for one in ids] == [Status.DONE, Status.FAILED]


async def test_what_is_tried_alone_comes_after_all_others_and_holds_them_up_meanwhile(store: Store) -> None:
    suspects = [await store.queue.enqueue(identity(f"{n}.mp4")) for n in range(2)]
    await killed_with(store, *suspects)
    scored_one, other = [await store.queue.enqueue(identity(f"other{n}.mp4")) for n in range(2)]
    await store.queue.set_status(scored_one, Status.SCORED)
    assert await claimed(store) == other
    assert await claimed(store) is None, "one is still worked on, and one waits for its export"
    await store.queue.set_status(other, Status.DONE)
    assert await claimed(store) is None
    assert await claimed(store, Status.SCORED, Status.EXPORTING) == scored_one
    assert await claimed(store) is None
    await store.queue.set_status(scored_one, Status.DONE)
    assert await claimed(store) == suspects[0]
    late = await store.queue.enqueue(identity("late.mp4"))
    assert await claimed(store) is None
    await store.queue.release(suspects[0], Status.QUEUED)
    assert await claimed(store) == late


async def test_a_film_that_waits_for_its_next_try_holds_up_none_that_is_tried_alone(store: Store) -> None:
    suspects = [await store.queue.enqueue(identity(f"{n}.mp4")) for n in range(2)]
    await killed_with(store, *suspects)
    later = await store.queue.enqueue(identity("later.mp4"))
    await store.queue.postpone(later, Status.QUEUED, VideoError(Kind.EXPORT, "no"), 60.0, attempt_counts=False)
    assert await claimed(store) == suspects[0]


async def test_for_files_that_are_named_by_hand_others_in_the_queue_do_not_count(store: Store) -> None:
    suspects = [await store.queue.enqueue(identity(f"{n}.mp4")) for n in range(2)]
    await killed_with(store, *suspects)
    await store.queue.enqueue(identity("other.mp4"))
    record = await store.queue.claim(Status.QUEUED, Status.SCORING, suspects)
    assert record is not None
    assert record.id == suspects[0]
