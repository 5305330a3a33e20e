-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: workers.scripts.job_event
-- Publishes the event of a transition that RQ's own code makes.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         queue
--         id      of the job
--         status  the status to publish
--         more    JSON members of its contents, at least one
--         worker  that ran the job
--         at_ms   of the transition, or "" for now
-- returns 1
local queue, id, status, more, worker, at_ms = unpack(ARGV, OWN)
at_ms = at_ms ~= '' and at_ms or text(now_ms())
publish_job_event(queue, id, status, ',' .. more .. ',"worker":' .. cjson.encode(worker) .. ',"at_ms":' .. at_ms)
close_topics()
return 1
