-- Version 1. Later versions are files of their own, applied in turn by user_version (see connection.py).

CREATE TABLE videos (
    id             INTEGER PRIMARY KEY,
    path           TEXT    NOT NULL,            -- a BLOB of the raw bytes where the name is not UTF-8
    fingerprint    TEXT    NOT NULL,            -- '' where the file could not be read
    size_bytes     INTEGER NOT NULL,
    mtime_ns       INTEGER NOT NULL,
    status         TEXT    NOT NULL CHECK (status IN
        ('queued', 'scoring', 'scored', 'exporting', 'done', 'failed', 'rejected', 'missing')),
    metric         TEXT,
    lower_better   INTEGER,
    scorer         TEXT,                        -- the whole identity of the scores
    width          INTEGER,
    height         INTEGER,
    pix_fmt        TEXT,
    bit_depth      INTEGER,
    codec          TEXT,
    stream_index   INTEGER,                     -- absolute
    time_base      TEXT,                        -- '1/12800'
    info           TEXT,                        -- JSON: the rest of what the probe found
    frames_decoded INTEGER,
    frames_scored  INTEGER,
    damaged        INTEGER NOT NULL DEFAULT 0,  -- decoded with one thread, what decodes is kept
    mixed          INTEGER NOT NULL DEFAULT 0,  -- size or pixel format changes in mid-stream
    damage         TEXT,                        -- the first sign of damage, and how many there were
    error_kind     TEXT,
    error          TEXT,
    attempts       INTEGER NOT NULL DEFAULT 0,  -- starts that have not come to an end
    queued_at      TEXT    NOT NULL,
    started_at     TEXT,
    scored_at      TEXT,
    finished_at    TEXT
);
CREATE INDEX videos_by_path ON videos (path);
CREATE INDEX videos_by_fingerprint ON videos (fingerprint);
CREATE INDEX videos_by_status ON videos (status, id);

CREATE TABLE frames (
    video_id INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    frame    INTEGER NOT NULL,                  -- 0-based decode ordinal
    pts      INTEGER,                           -- in the stream's time base
    time_s   REAL    NOT NULL,
    score    REAL,                              -- the metric's raw number
    note     TEXT CHECK (score IS NOT NULL OR note IS NOT NULL),
    hash     TEXT    NOT NULL,                  -- hex SHA-1 of the unpadded planes
    PRIMARY KEY (video_id, frame)
) WITHOUT ROWID;

CREATE TABLE selections (
    id         INTEGER PRIMARY KEY,
    video_id   INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    params     TEXT    NOT NULL,                -- JSON
    requested  INTEGER NOT NULL,
    chosen     INTEGER NOT NULL,
    shortfall  TEXT,
    created_at TEXT    NOT NULL
);
CREATE INDEX selections_by_video ON selections (video_id);

CREATE TABLE stills (
    selection_id INTEGER NOT NULL REFERENCES selections (id) ON DELETE CASCADE,
    video_id     INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    rank         INTEGER NOT NULL,
    frame        INTEGER NOT NULL,
    time_s       REAL    NOT NULL,
    score        REAL    NOT NULL,
    path         TEXT    NOT NULL,
    width        INTEGER NOT NULL,
    height       INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    sha256       TEXT    NOT NULL,
    method       TEXT    NOT NULL CHECK (method IN ('batch', 'single', 'decode')),
    created_at   TEXT    NOT NULL,
    PRIMARY KEY (selection_id, rank)
);
CREATE INDEX stills_by_video ON stills (video_id);
