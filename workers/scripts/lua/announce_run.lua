-- include: workers.scripts.announce
-- Announces a run of which RQ's code is about to record the end.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         worker
--         id      of the job
--         fence   of the run
--         ttl_s   seconds within which it sends its next heartbeat
-- returns 1, or 0 if the end of the run is recorded, or another run has the job
local worker, id, fence, ttl_s = unpack(ARGV, OWN)
local known = redis.call('HMGET', k.job .. id, 'fence', 'status', 'stopped', 'origin')
local has_job = known[1] == fence and known[2] == 'started' or known[3] == fence
if not has_job or not redis.call('ZSCORE', k.started .. (known[4] or ''), id .. ':' .. fence) then return 0 end
announce(worker, id, fence, now_ms(), tonumber(ttl_s))
close_topics()
return 1
