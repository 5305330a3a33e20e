-- Decides how a run ends, once: from here on it is finished (or failed), and a stop comes too late.
-- KEYS    1 rq:job:<id>
-- ARGV    1 fence of the run
-- returns 1, or 0 if the run was stopped or superseded before
local job = redis.call('HMGET', KEYS[1], 'fence', 'status')
if job[1] ~= ARGV[1] or job[2] ~= 'started' then return 0 end
redis.call('HSET', KEYS[1], 'sealed', '1')
return 1
