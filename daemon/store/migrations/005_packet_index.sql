-- Where the packets of a film lie in its file, so that its frames are found without decoding all of it again.

CREATE TABLE packet_index (
    video_id INTEGER PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
    packets  INTEGER NOT NULL,
    record   BLOB    NOT NULL                   -- packet_index.PacketIndex, its version in the first byte
);

-- The words of stills.method have one more; a CHECK can only be changed with its table.
CREATE TABLE stills_new (
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
    method       TEXT    NOT NULL CHECK (method IN ('seek', 'batch', 'single', 'decode')),
    created_at   TEXT    NOT NULL,
    reason       TEXT,                          -- JSON: why this frame, what it stands for
    image        TEXT,                          -- how the file was written: 'png8', 'png16 hdr', 'jpg q2', ...
    PRIMARY KEY (selection_id, rank)
);
INSERT INTO stills_new (selection_id, video_id, rank, frame, time_s, score, path, width, height, bytes, sha256, method,
                        created_at, reason, image)
    SELECT selection_id, video_id, rank, frame, time_s, score, path, width, height, bytes, sha256, method, created_at,
           reason, image FROM stills;
DROP TABLE stills;
ALTER TABLE stills_new RENAME TO stills;
CREATE INDEX stills_by_video ON stills (video_id);
