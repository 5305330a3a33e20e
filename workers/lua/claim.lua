-- include: now
-- include: emit
-- include: loss
-- include: cancel_one
-- The gate before a job starts: it starts, or it never will.
-- KEYS    1 ns:losses  2 ns:services  3-6 rq:queue, rq:canceled, rq:deferred, rq:scheduled  7-9 log, head and list of the topic
--         10 rq:job:<id>  11... ns:needs:<service>
-- ARGV    1 id  2 fence  3 worker  4 started_at  5-7 channel, topic, body  8 ended_at  9 keep_ms  10-12 limits
-- returns "started", or why not: "lost:<service>" (it is canceled now), "status:<status>", or "missing"
local job, id = KEYS[10], ARGV[1]
for i = 11, #KEYS do
  redis.call('ZREM', KEYS[i], id)
end
local status = redis.call('HGET', job, 'status')
if not status then return 'missing' end
if status ~= 'queued' then return 'status:' .. status end
local need = lost_need(job, KEYS[1], KEYS[2])
if need then
  local now = now_ms()
  local k = cancel_keys(KEYS, 3)
  k.job = job
  cancel_one(k, id, outcome_of('cancelled', need .. ' is gone', need, now), cancel_to(ARGV, 5, now))
  return 'lost:' .. need
end
redis.call('HDEL', job, 'outcome', 'sealed', 'stopped')
redis.call('HSET', job, 'status', 'started', 'fence', ARGV[2], 'worker_name', ARGV[3], 'started_at', ARGV[4], 'last_heartbeat', ARGV[4])
return 'started'
