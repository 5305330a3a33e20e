-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: workers.scripts.job_event
-- Records what a run reports about its progress, and publishes it. A run that was stopped, or has the job no more, changes nothing.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         id       of the job
--         fence    of the run
--         members  what it reports, as members of a JSON object
-- returns whether it was recorded, 1 or 0
local id, fence, members = unpack(ARGV, OWN)
local job = k.job .. id
local known = redis.call('HMGET', job, 'fence', 'status', 'origin')
if known[1] ~= fence or known[2] ~= 'started' then return 0 end
local report = members .. ',"at_ms":' .. text(now_ms())
redis.call('HSET', job, 'progress', '{"fence":' .. cjson.encode(fence) .. ',' .. report .. '}')
publish_job_event(known[3] or '', id, 'progress', ',' .. report)
close_topics()
return 1
