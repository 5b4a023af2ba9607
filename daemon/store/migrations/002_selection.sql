-- Version 2: what frames are chosen by, and why they were chosen; tries again; what becomes of a source.

ALTER TABLE frames ADD COLUMN verdict TEXT;     -- why a frame is never chosen, 'good' otherwise; NULL: not judged yet

CREATE TABLE features (
    video_id INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    frame    INTEGER NOT NULL,
    record   BLOB    NOT NULL,                  -- features.RECORD, its version in the first byte
    PRIMARY KEY (video_id, frame)
) WITHOUT ROWID;

CREATE TABLE shots (
    video_id INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    shot     INTEGER NOT NULL,                  -- 0-based, in order of time
    kind     TEXT    NOT NULL CHECK (kind IN ('shot', 'cut', 'fade', 'dissolve')),
    first    INTEGER NOT NULL,                  -- frames, both ends included
    last     INTEGER NOT NULL,
    PRIMARY KEY (video_id, shot)
) WITHOUT ROWID;

CREATE TABLE refined (
    video_id INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    scorer   TEXT    NOT NULL,                  -- the whole identity of the second scorer
    metric   TEXT    NOT NULL,
    frame    INTEGER NOT NULL,
    score    REAL,
    note     TEXT CHECK (score IS NOT NULL OR note IS NOT NULL),
    PRIMARY KEY (video_id, scorer, frame)
) WITHOUT ROWID;

ALTER TABLE videos ADD COLUMN judged TEXT;      -- JSON: the settings that shots and verdicts were found with

ALTER TABLE selections ADD COLUMN reasons TEXT; -- JSON: what there was to choose from

ALTER TABLE stills ADD COLUMN reason TEXT;      -- JSON: why this frame, what it stands for
ALTER TABLE stills ADD COLUMN image TEXT;       -- how the file was written: 'png8', 'png16 hdr', 'jpg q2', ...

ALTER TABLE videos ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;   -- postponed so often for a cause that may pass
ALTER TABLE videos ADD COLUMN retry_at TEXT;                        -- not taken before

CREATE TABLE sources (
    video_id INTEGER PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
    action   TEXT    NOT NULL CHECK (action IN ('move', 'delete')),
    state    TEXT    NOT NULL CHECK (state IN ('due', 'moved', 'deleted', 'kept')),
    target   TEXT,                              -- where it is being moved to; its own path: it is being deleted
    reason   TEXT,                              -- why it was kept
    at       TEXT    NOT NULL
);
