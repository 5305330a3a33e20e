-- include: now
-- include: loss
-- Marks a running job as stopped, for good: whatever its process still does, it cannot finish.
-- KEYS    1 rq:job:<id>
-- ARGV    1 reason  2 keep_ms, should its worker be dead and never put it away
-- returns "stopped", "ending" if its run is recording how it ended by itself, or the status that it has instead
local job = redis.call('HMGET', KEYS[1], 'status', 'sealed', 'fence')
if not job[1] then return 'missing' end
if job[1] ~= 'started' then return job[1] end
if job[2] then return 'ending' end
redis.call('HSET', KEYS[1], 'status', 'stopped', 'stopped', job[3] or '', 'outcome', outcome_of('stopped', ARGV[1], nil, now_ms()))
redis.call('HDEL', KEYS[1], 'fence')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'stopped'
