-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: workers.scripts.job_event
-- Publishes the event of a transition that RQ's own code makes, and counts it.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         queue
--         id      of the job
--         status  the status to publish
--         more    JSON members of its contents, at least one
--         worker  that ran the job
--         at_ms   of the transition, or "" for now
--         seconds  that the run took, or "" if nobody knows
-- returns 1
local queue, id, status, more, worker, at_ms, seconds = unpack(ARGV, OWN)
at_ms = at_ms ~= '' and at_ms or text(now_ms())
publish_job_event(queue, id, status, ',' .. more .. ',"worker":' .. cjson.encode(worker) .. ',"at_ms":' .. at_ms)
local call = redis.pcall('HMGET', k.job .. id, 'data', 'description')
note_work(status, queue, function_of(call[1], call[2]), tonumber(seconds))
close_topics()
return 1
