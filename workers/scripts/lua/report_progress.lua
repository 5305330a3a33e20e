-- include: workers.scripts.announce
-- Records what a run reports about its progress, and publishes it; before the first report, its start. A run that was stopped, or has the job no more, changes nothing.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         id       of the job
--         fence    of the run
--         ttl_s    seconds within which it sends its next heartbeat
--         members  what it reports, as members of a JSON object
-- returns whether it was recorded, 1 or 0
local id, fence, ttl_s, members = unpack(ARGV, OWN)
local job = k.job .. id
local known = redis.call('HMGET', job, 'fence', 'status', 'origin', 'worker_name')
if known[1] ~= fence or known[2] ~= 'started' then return 0 end
announce(known[4] or '', id, fence, now_ms(), tonumber(ttl_s))
local report = members .. ',"at_ms":' .. text(now_ms())
redis.call('HSET', job, 'progress', '{"fence":' .. cjson.encode(fence) .. ',' .. report .. '}')
publish_job_event(known[3] or '', id, 'progress', ',' .. report)
close_topics()
return 1
