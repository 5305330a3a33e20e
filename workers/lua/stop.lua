-- include: now
-- include: loss
-- Marks a running job as stopped, for good: whatever its process still does, it cannot finish.
-- KEYS    1 rq:job:<id>
-- ARGV    1 reason
-- returns "stopped", or the status that it has instead
local job = redis.call('HMGET', KEYS[1], 'status', 'sealed', 'fence')
if not job[1] then return 'missing' end
if job[1] ~= 'started' then return job[1] end
if job[2] then return 'finished' end
redis.call('HSET', KEYS[1], 'status', 'stopped', 'stopped', job[3] or '', 'outcome', outcome_of('stopped', ARGV[1], nil, now_ms()))
redis.call('HDEL', KEYS[1], 'fence')
return 'stopped'
