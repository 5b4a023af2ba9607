-- Version 6: what a file is, every scorer's numbers side by side, and lean rows.
-- Films of many frames take minutes, so their rows follow in pieces afterwards: see migrate.py.

-- The words of videos.status have one more; a CHECK can only be changed with its table.
CREATE TABLE videos_new (
    id             INTEGER PRIMARY KEY,
    path           TEXT    NOT NULL,            -- a BLOB of the raw bytes where the name is not UTF-8
    fingerprint    TEXT    NOT NULL,            -- of three blocks; '' where the file could not be read
    digest         TEXT,                        -- of every byte: what the content is; NULL: not read yet
    size_bytes     INTEGER NOT NULL,
    mtime_ns       INTEGER NOT NULL,
    inode          INTEGER,                     -- NULL: not known, or it changes where the content does not
    status         TEXT    NOT NULL CHECK (status IN
        ('queued', 'scoring', 'scored', 'exporting', 'done', 'failed', 'rejected', 'missing', 'replaced')),
    replaced_by    INTEGER REFERENCES videos (id) ON DELETE SET NULL, -- the video whose content took the path
    metric         TEXT,
    lower_better   INTEGER,
    scorer         TEXT,                        -- the whole identity of the current scores
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
    finished_at    TEXT,
    judged         TEXT,                        -- JSON: the settings that shots and verdicts were found with
    retries        INTEGER NOT NULL DEFAULT 0,  -- postponed so often for a cause that may pass
    retry_at       TEXT                         -- not taken before
);
INSERT INTO videos_new (id, path, fingerprint, size_bytes, mtime_ns, status, metric, lower_better, scorer, width, height,
                        pix_fmt, bit_depth, codec, stream_index, time_base, info, frames_decoded, frames_scored, damaged,
                        mixed, damage, error_kind, error, attempts, queued_at, started_at, scored_at, finished_at, judged,
                        retries, retry_at)
    SELECT id, path, fingerprint, size_bytes, mtime_ns, status, metric, lower_better, scorer, width, height, pix_fmt,
           bit_depth, codec, stream_index, time_base, info, frames_decoded, frames_scored, damaged, mixed, damage,
           error_kind, error, attempts, queued_at, started_at, scored_at, finished_at, judged, retries, retry_at
    FROM videos;
DROP TABLE videos;
ALTER TABLE videos_new RENAME TO videos;
CREATE INDEX videos_by_path ON videos (path);
CREATE INDEX videos_by_fingerprint ON videos (fingerprint);
CREATE INDEX videos_by_status ON videos (status, id);
CREATE INDEX videos_by_successor ON videos (replaced_by) WHERE replaced_by IS NOT NULL;

-- Of these, a fingerprint covers every byte.
UPDATE videos SET digest = fingerprint WHERE size_bytes <= 3 * 1024 * 1024 AND fingerprint != '';

CREATE TABLE scorers (
    id           INTEGER PRIMARY KEY,
    identity     TEXT    NOT NULL UNIQUE,       -- the whole identity of its scores
    metric       TEXT,
    lower_better INTEGER                        -- NULL: was not kept by the version that wrote it
);
INSERT INTO scorers (identity, metric, lower_better)
    SELECT COALESCE(scorer, ''), MAX(metric), MAX(lower_better) FROM videos GROUP BY 1;

CREATE TABLE decoded_frames (                   -- what does not depend on the scorer
    video_id   INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    frame      INTEGER NOT NULL,                -- 0-based decode ordinal
    pts        INTEGER,                         -- in the stream's time base
    time_s     REAL    NOT NULL,
    duration_s REAL,                            -- how long the file says that it is shown; NULL: it does not say
    hash       BLOB    NOT NULL,                -- SHA-1 of the unpadded planes
    verdict    TEXT,                            -- why a frame is never chosen, 'good' otherwise; NULL: not judged yet
    reserve    TEXT,                            -- why it is chosen only where nothing better is
    PRIMARY KEY (video_id, frame)
) WITHOUT ROWID;

CREATE TABLE frame_scores (
    video_id  INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    scorer_id INTEGER NOT NULL REFERENCES scorers (id),
    frame     INTEGER NOT NULL,
    score     REAL,                             -- the metric's raw number
    note      TEXT CHECK (score IS NOT NULL OR note IS NOT NULL),
    PRIMARY KEY (video_id, scorer_id, frame)
) WITHOUT ROWID;

CREATE TABLE feature_blocks (                   -- the features of 32 frames, packed: see feature_blocks.py
    video_id INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    block    INTEGER NOT NULL,                  -- frame / 32
    packed   BLOB    NOT NULL,
    PRIMARY KEY (video_id, block)
);

-- A second metric's scores are scores like any.
INSERT OR IGNORE INTO scorers (identity, metric) SELECT DISTINCT scorer, metric FROM refined;
INSERT OR IGNORE INTO frame_scores (video_id, scorer_id, frame, score, note)
    SELECT r.video_id, s.id, r.frame, r.score, r.note FROM refined r JOIN scorers s ON s.identity = r.scorer;
DROP TABLE refined;

ALTER TABLE frames RENAME TO frames_5;
ALTER TABLE features RENAME TO features_5;

-- By these names for ever: a film's frames with the scores of its current scorer.
CREATE VIEW frames AS
    SELECT s.video_id, s.frame, f.pts, f.time_s, s.score, s.note,
           CASE typeof(f.hash) WHEN 'blob' THEN lower(hex(f.hash)) ELSE f.hash END AS hash,
           f.verdict, f.duration_s, f.reserve
    FROM videos v
    JOIN scorers c ON c.identity = COALESCE(v.scorer, '')
    JOIN frame_scores s ON s.video_id = v.id AND s.scorer_id = c.id
    JOIN decoded_frames f ON f.video_id = s.video_id AND f.frame = s.frame;

-- The scores of every scorer.
CREATE VIEW scores AS
    SELECT s.video_id, c.identity AS scorer, s.frame, s.score, s.note, c.metric
    FROM frame_scores s JOIN scorers c ON c.id = s.scorer_id;

CREATE TRIGGER frames_insert INSTEAD OF INSERT ON frames BEGIN
    INSERT OR IGNORE INTO scorers (identity, metric, lower_better)
        SELECT COALESCE(scorer, ''), metric, lower_better FROM videos WHERE id = NEW.video_id;
    INSERT OR REPLACE INTO decoded_frames (video_id, frame, pts, time_s, duration_s, hash, verdict, reserve)
        VALUES (NEW.video_id, NEW.frame, NEW.pts, NEW.time_s, NEW.duration_s, NEW.hash, NEW.verdict, NEW.reserve);
    INSERT OR REPLACE INTO frame_scores (video_id, scorer_id, frame, score, note)
        SELECT NEW.video_id, c.id, NEW.frame, NEW.score, NEW.note FROM scorers c, videos v
        WHERE v.id = NEW.video_id AND c.identity = COALESCE(v.scorer, '');
END;
CREATE TRIGGER frames_update INSTEAD OF UPDATE ON frames BEGIN
    UPDATE decoded_frames SET pts = NEW.pts, time_s = NEW.time_s, duration_s = NEW.duration_s, verdict = NEW.verdict,
        reserve = NEW.reserve, hash = CASE WHEN NEW.hash IS OLD.hash THEN hash ELSE NEW.hash END
        WHERE video_id = OLD.video_id AND frame = OLD.frame;
    UPDATE frame_scores SET score = NEW.score, note = NEW.note
        WHERE video_id = OLD.video_id AND frame = OLD.frame AND scorer_id =
        (SELECT c.id FROM scorers c JOIN videos v ON c.identity = COALESCE(v.scorer, '') WHERE v.id = OLD.video_id);
END;
CREATE TRIGGER frames_delete INSTEAD OF DELETE ON frames BEGIN
    DELETE FROM decoded_frames WHERE video_id = OLD.video_id AND frame = OLD.frame;
    DELETE FROM frame_scores WHERE video_id = OLD.video_id AND frame = OLD.frame
        AND scorer_id IN (SELECT id FROM scorers);
END;
