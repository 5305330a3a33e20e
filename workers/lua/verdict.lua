-- include: now
-- include: loss
-- Whether a running job may go on. If it lost a service it needs, it is marked as stopped here and now.
-- KEYS    1 rq:job:<id>  2 ns:losses  3 ns:services
-- ARGV    1 fence of the run
-- returns "go on", "lost:<service>" (it is marked now), "stopped" (it was marked before) or "superseded" (another run has the job)
local job = redis.call('HMGET', KEYS[1], 'fence', 'status', 'sealed', 'on_loss', 'stopped')
if job[5] == ARGV[1] then return 'stopped' end
if not job[2] then return 'go on' end
if job[1] ~= ARGV[1] then return 'superseded' end
if job[3] or job[4] == 'drain' then return 'go on' end
local need = lost_need(KEYS[1], KEYS[2], KEYS[3])
if not need then return 'go on' end
local outcome = outcome_of('stopped', need .. ' is gone', need, now_ms())
redis.call('HSET', KEYS[1], 'status', 'stopped', 'stopped', ARGV[1], 'outcome', outcome)
redis.call('HDEL', KEYS[1], 'fence')
return 'lost:' .. need
