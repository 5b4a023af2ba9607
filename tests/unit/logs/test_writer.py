"""Whoever logs never waits; what is written is whole, in order, and counted where it is missing."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from daemon.logs.writer import AT_ONCE_BYTES, LogWriter, past_the_buffer

FOREVER_SECONDS = 30.0


class Reader:
    """What the log is written to: it can be stuck, take a part, or be gone."""

    def __init__(self) -> None:
        self.reads = threading.Event()
        self.reads.set()
        self.stuck = threading.Event()
        self.writes: list[bytes] = []
        self.answers: list[int | OSError] = []

    def write(self, data: bytes) -> int:
        if not self.reads.is_set():
            self.stuck.set()
        assert self.reads.wait(FOREVER_SECONDS)
        answer = self.answers.pop(0) if self.answers else len(data)
        if isinstance(answer, OSError):
            raise answer
        self.writes.append(data[:answer])
        return answer

    @property
    def text(self) -> str:
        return b"".join(self.writes).decode()


@contextmanager
def writing(write: Callable[[bytes], int], queue_bytes: int = 1 << 20) -> Iterator[LogWriter]:
    writer = LogWriter(write, lambda lines: writer.put(b"%d dropped\n" % lines), queue_bytes)
    try:
        yield writer
    finally:
        writer.close()


@pytest.fixture
def reader() -> Reader:
    return Reader()


def get_stuck(reader: Reader, writer: LogWriter) -> None:
    """The thread is inside a write that does not return, with ``first``."""
    reader.reads.clear()
    writer.put(b"first\n")
    assert reader.stuck.wait(FOREVER_SECONDS)


def test_what_is_put_while_the_reader_is_stuck_is_written_in_order_once_it_reads(reader: Reader) -> None:
    with writing(reader.write) as writer:
        get_stuck(reader, writer)
        for number in range(1000):
            writer.put(b"%d\n" % number)
        reader.reads.set()
        writer.flush(FOREVER_SECONDS)
        assert reader.text == "first\n" + "".join(f"{number}\n" for number in range(1000))


def test_lines_that_find_the_queue_full_are_counted_where_they_are_missing(reader: Reader) -> None:
    with writing(reader.write, queue_bytes=30) as writer:
        get_stuck(reader, writer)
        for name in (b"second", b"third", b"too long a line for what is left", b"fourth", b"fifth"):
            writer.put(name + b"\n")
        reader.reads.set()
        writer.flush(FOREVER_SECONDS)
        writer.put(b"after\n")
        writer.flush(FOREVER_SECONDS)
        assert reader.text == "first\nsecond\nthird\n3 dropped\nafter\n"


def test_no_line_is_lost_uncounted_or_out_of_order_whatever_many_threads_do(reader: Reader) -> None:
    def talk(name: int) -> None:
        for number in range(2000):
            writer.put(b"%d %d\n" % (name, number))

    with writing(reader.write, queue_bytes=2000) as writer:
        threads = [threading.Thread(target=talk, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.flush(FOREVER_SECONDS)
    lines = reader.text.splitlines()
    said = [re.fullmatch(r"(\d) (\d+)", line) for line in lines]
    for name in range(4):
        numbers = [int(one[2]) for one in said if one and one[1] == str(name)]
        assert numbers == sorted(numbers)
    dropped = [int(line.removesuffix(" dropped")) for line in lines if line.endswith(" dropped")]
    assert len(lines) - len(dropped) + sum(dropped) == 8000


def test_a_flush_does_not_wait_for_a_reader_that_is_stuck(reader: Reader) -> None:
    with writing(reader.write) as writer:
        get_stuck(reader, writer)
        writer.flush(0.01)
        assert reader.text == ""
        reader.reads.set()
        writer.flush(FOREVER_SECONDS)
        assert reader.text == "first\n"


def test_a_closed_one_still_writes_what_it_has_and_then_ends(reader: Reader) -> None:
    with writing(reader.write) as writer:
        get_stuck(reader, writer)
        writer.put(b"last\n")
        writer.close()
        reader.reads.set()
        writer.flush(FOREVER_SECONDS)
        assert reader.text == "first\nlast\n"


def test_several_lines_go_out_at_once_but_no_more_than_a_pipe_takes_whole(reader: Reader) -> None:
    with writing(reader.write) as writer:
        get_stuck(reader, writer)
        for size in [100] * 100 + [3 * AT_ONCE_BYTES] + [100] * 100:
            writer.put(b"x" * (size - 1) + b"\n")
        reader.reads.set()
        writer.flush(FOREVER_SECONDS)
    assert all(data.endswith(b"\n") for data in reader.writes)
    sizes = [len(data) for data in reader.writes]
    assert max(size for size in sizes if size != 3 * AT_ONCE_BYTES) <= AT_ONCE_BYTES
    assert 3 * AT_ONCE_BYTES in sizes
    assert len(sizes) < 12


def test_a_reader_that_is_gone_for_a_while_gets_whole_lines_again(reader: Reader) -> None:
    """A disk that is full takes a part, then nothing."""
    with writing(reader.write) as writer:
        reader.answers = [4, OSError("full"), OSError("full")]
        for line in (b"begun\n", b"lost\n", b"third\n"):
            writer.put(line)
            writer.flush(FOREVER_SECONDS)
        assert reader.text == "begun\nthird\n"


def test_the_garbage_collector_may_log_while_a_line_is_put(reader: Reader) -> None:
    class Line(bytes):
        collected = False

        def __len__(self) -> int:
            if not self.collected:
                self.collected = True
                writer.put(b"from a destructor\n")
            return super().__len__()

    with writing(reader.write) as writer:
        writer.put(Line(b"a line\n"))
        writer.flush(FOREVER_SECONDS)
        assert sorted(reader.text.splitlines()) == ["a line", "from a destructor"]


@pytest.mark.parametrize("blocking", [True, False])
def test_a_pipe_gets_every_line_however_small_it_is(blocking: bool) -> None:
    reading, descriptor = os.pipe()
    os.set_blocking(descriptor, blocking)
    wanted = b"".join(b"%d" % number * 1000 + b"\n" for number in range(100))
    with os.fdopen(descriptor, "w") as stream, os.fdopen(reading, "rb") as read, writing(past_the_buffer(stream)) as w:
        for line in wanted.splitlines(keepends=True):
            w.put(line)
        # Time to fill the pipe, which is then full until it is read.
        w.flush(0.2)
        assert read.read(len(wanted)) == wanted


def test_a_closed_pipe_ends_nothing() -> None:
    reading, descriptor = os.pipe()
    os.close(reading)
    with os.fdopen(descriptor, "w") as stream, writing(past_the_buffer(stream)) as writer:
        for _ in range(3):
            writer.put(b"to nobody\n")
            writer.flush(FOREVER_SECONDS)
