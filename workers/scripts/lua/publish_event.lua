-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: workers.scripts.job_event
-- Publishes the event of a transition that RQ's own code makes.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         queue
--         id      of the job
--         status  the status to publish
--         reason  of the transition
--         worker  that ran the job
-- returns 1
local queue, id, status, reason, worker = unpack(ARGV, OWN)
local more = ',"reason":' .. cjson.encode(reason) .. ',"worker":' .. cjson.encode(worker) .. ',"at_ms":' .. text(now_ms())
publish_job_event(queue, id, status, more)
close_topics()
return 1
