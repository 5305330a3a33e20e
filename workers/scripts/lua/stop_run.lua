-- include: workers.scripts.outcome
-- Marks a running job as stopped, for good: whatever its process still does, it cannot finish.
-- KEYS    1 rq:job:<id>
-- ARGV    1 reason  2 keep_ms, should its worker be dead and never put it away
-- returns "stopped", "ending" if its run is recording how it ended by itself, or the status that it has instead
local job = redis.call('HMGET', KEYS[1], 'status', 'sealed', 'fence', 'stopped')
if not job[1] then return 'missing' end
if job[1] ~= 'started' then return job[1] end
if job[2] then return 'ending' end
local outcome = outcome_of('stopped', ARGV[1], now_ms(), why_asked())
-- One that is being stopped already, to be held, has no fence any more.
redis.call('HSET', KEYS[1], 'status', 'stopped', 'stopped', job[3] or job[4] or '', 'outcome', outcome)
redis.call('HDEL', KEYS[1], 'fence')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'stopped'
