"""Named queries for people and programs that look at the store."""

QUERIES = {
    "list": "SELECT v.id, v.path, v.status, v.metric, v.frames_decoded, v.frames_scored, v.damaged,"
    " v.error_kind, v.error, v.queued_at, v.finished_at, (SELECT COUNT(*) FROM stills s WHERE s.selection_id ="
    " (SELECT MAX(id) FROM selections WHERE video_id = v.id)) AS stills FROM videos v ORDER BY v.id DESC LIMIT ?",
    "working": "SELECT v.id, v.path, v.status, v.metric, v.info, (SELECT MAX(frame) + 1 FROM frames f"
    " WHERE f.video_id = v.id) AS frames FROM videos v WHERE v.status IN ('scoring', 'exporting') ORDER BY v.id",
    "errors": "SELECT id, path, status, error_kind, error, finished_at FROM videos"
    " WHERE error_kind IS NOT NULL AND status IN ('failed', 'rejected', 'missing') ORDER BY finished_at DESC LIMIT ?",
    "failed": "SELECT id FROM videos WHERE status = 'failed' ORDER BY id",
    "video": "SELECT * FROM videos WHERE id = ?",
    "selections": "SELECT id, params, requested, chosen, shortfall, reasons, created_at FROM selections"
    " WHERE video_id = ? ORDER BY id",
    "stills": "SELECT rank, frame, time_s, score, path, width, height, bytes, sha256, method, reason, created_at"
    " FROM stills WHERE selection_id = ? ORDER BY rank",
    "source": "SELECT action, state, reason, at FROM sources WHERE video_id = ?",
    "sources": "SELECT v.fingerprint, v.path, s.state, s.at FROM videos v LEFT JOIN sources s ON s.video_id = v.id"
    " WHERE v.status = 'done' ORDER BY v.id",
    "shots": "SELECT s.shot, s.kind, s.first, s.last, a.time_s AS start_s, b.time_s AS last_s, (SELECT COUNT(*) FROM"
    " frames f WHERE f.video_id = s.video_id AND f.frame BETWEEN s.first AND s.last AND f.verdict = 'good') AS good"
    " FROM shots s LEFT JOIN frames a ON a.video_id = s.video_id AND a.frame = s.first"
    " LEFT JOIN frames b ON b.video_id = s.video_id AND b.frame = s.last WHERE s.video_id = ? ORDER BY s.shot",
    "verdicts": "SELECT verdict, COUNT(*) AS frames FROM frames WHERE video_id = ? AND verdict IS NOT NULL"
    " GROUP BY verdict ORDER BY frames DESC",
    "notes": "SELECT note, COUNT(*) AS frames FROM frames WHERE video_id = ? AND note IS NOT NULL GROUP BY note",
    "range": "SELECT MIN(score) AS lowest, MAX(score) AS highest, AVG(score) AS mean FROM frames WHERE video_id = ?",
}
