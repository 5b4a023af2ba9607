-- Version 3: a frame's own times, and frames that are chosen only where there is nothing better.

ALTER TABLE frames ADD COLUMN duration_s REAL;  -- how long the file says that it is shown; NULL: it does not say
ALTER TABLE frames ADD COLUMN reserve TEXT;     -- why it is chosen only where nothing better is: 'damaged', 'small'

-- Until now pts were milliseconds. The file's own follow from the times, which were counted from the container's start.
UPDATE frames SET pts = (
    SELECT CAST(round(
        (frames.time_s + json_extract(v.info, '$.start_s'))
        * CAST(substr(v.time_base || '/1', instr(v.time_base || '/1', '/') + 1) AS INTEGER)
        / CAST(v.time_base AS INTEGER)
    ) AS INTEGER)
    FROM videos v WHERE v.id = frames.video_id AND CAST(v.time_base AS INTEGER) > 0
) WHERE pts IS NOT NULL;
