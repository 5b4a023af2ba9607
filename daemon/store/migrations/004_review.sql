-- Version 4: what people look at, and what they decide.

CREATE TABLE strip_pictures (
    video_id INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    frame    INTEGER NOT NULL,
    picture  BLOB    NOT NULL,                  -- JPEG, at most 160 pixels wide and high
    PRIMARY KEY (video_id, frame)
) WITHOUT ROWID;

CREATE TABLE decisions (
    id           INTEGER PRIMARY KEY,           -- in the order they were taken
    video_id     INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    frame        INTEGER,                       -- NULL: a note about the whole film
    kind         TEXT    NOT NULL CHECK (kind IN ('accept', 'reject', 'pin', 'ban', 'reset', 'note')),
    selection_id INTEGER REFERENCES selections (id) ON DELETE CASCADE, -- whose still was accepted or rejected
    note         TEXT,
    undone       INTEGER NOT NULL DEFAULT 0,
    decided_at   TEXT    NOT NULL
);
CREATE INDEX decisions_by_video ON decisions (video_id, id);
